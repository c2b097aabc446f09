"""Tasks of one's own for lm-evaluation-harness, one of each output type, with a few rows."""

import json
import random
from pathlib import Path

ROWS = """\
dataset_path: json
dataset_kwargs: {data_files: {train: tasks/train.jsonl, test: tasks/test.jsonl}}
training_split: train
test_split: test
metadata: {version: 1.0}
"""
SHAPES = """\
task: shapes
output_type: multiple_choice
doc_to_text: "{{a}} is"
doc_to_choice: ["round", "square and red", "flat"]
doc_to_target: answer
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
TASKS = {
    "shapes": SHAPES,
    "sizes": SHAPES.replace("shapes", "sizes").replace("{{a}} is", "{{b}} looks"),
    "pairs": """\
task: pairs
output_type: multiple_choice
doc_to_text: left
doc_to_choice: "{{[a, b]}}"
doc_to_target: word
metric_list: [{metric: acc}]
""",
    "words": """\
task: words
output_type: generate_until
doc_to_text: "{{a}} is"
doc_to_target: "{{word}}"
generation_kwargs: {until: ["ba", "\\n"], max_gen_toks: 8}
filter_list:
  - {name: whole, filter: [{function: take_first}]}
  - name: first
    filter: [{function: regex, regex_pattern: "(\\\\w+)"}, {function: take_first}]
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}, {metric: chrf}]
""",
    "rolls": """\
task: rolls
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: byte_perplexity}, {metric: bits_per_byte}]
""",
    "last": """\
task: last
output_type: loglikelihood
doc_to_text: "{{text}}"
doc_to_target: " {{word}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
""",
    "bare": """\
task: bare
output_type: multiple_choice
doc_to_text: ""
doc_to_choice: "{{[a, b, text]}}"
doc_to_target: left
metric_list: [{metric: acc}, {metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
}
GROUP = """\
group: both
task: [{task: shapes, num_fewshot: 1}, sizes]
aggregate_metric_list: [{metric: acc, weight_by_size: true}]
metadata: {version: 1.0}
"""


def write_tasks(folder: Path, rows: int = 12, seed: int = 0) -> None:
    """Write tasks/ with the files of all tasks and their rows."""
    place, rng = folder / "tasks", random.Random(seed)
    place.mkdir()
    for name, text in TASKS.items():
        (place / f"{name}.yaml").write_text(text + ROWS)
    (place / "both.yaml").write_text(GROUP)
    syllables = [first + last for first in "bdfgklmnprst" for last in "aeiou"]
    for split, count in (("train", 10), ("test", rows)):
        lines = []
        for _ in range(count):
            answer = rng.randrange(3)
            texts = [" ".join(rng.choices(syllables, k=rng.randint(1, 9))) for _ in range(3)]
            row = dict(zip(("a", "b", "text"), texts, strict=True))
            word = ["round", "square", "flat"][answer]
            row |= {"answer": answer, "word": word, "left": rng.randrange(2)}
            lines.append(json.dumps(row))
        (place / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
