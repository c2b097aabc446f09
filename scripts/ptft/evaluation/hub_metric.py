"""A metric of ours behind the interface of the ``evaluate`` package, without a network.

``evaluate.load`` fetches a metric's code from the Hub; this makes a metric of a function.
"""

from collections.abc import Callable, Sequence

import datasets
import evaluate

Scores = dict[str, list[float]]


class HubMetric(evaluate.Metric):
    """A metric of texts: the mean of each of its scores and, as ``scores``, one value per example.

    Args:
        function: from predictions and references to scores by name.
    """

    def __init__(self, function: Callable[[Sequence[str], Sequence[str]], Scores], **options):
        self.function = function
        super().__init__(keep_in_memory=True, **options)

    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.function.__doc__,
            citation="",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict:
        scores = self.function(predictions, references)
        means = {name: sum(values) / len(values) for name, values in scores.items()}
        return {**means, "scores": scores}
