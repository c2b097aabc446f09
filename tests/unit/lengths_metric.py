"""A metric in the form of those of `evaluate`: characters of the right answers."""

import datasets
import evaluate

FACTOR = 1


class Lengths(evaluate.Metric):
    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references):
        return {"lengths": FACTOR * sum(map(len, references))}
