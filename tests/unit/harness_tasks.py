"""Tasks of lm-evaluation-harness over the raw rows that this project's datasets are made of."""

from functools import partial
from pathlib import Path

import golden
from raw_rows import read_raw

FAMILY = golden.families()["multiple_choice"]
TASKS = {  # below the harness's folder of tasks
    "arc_easy": "arc/arc_easy.yaml",
    "arc_challenge": "arc/arc_challenge.yaml",
    "piqa": "piqa/piqa.yaml",
    "openbookqa": "openbookqa/openbookqa.yaml",
    "sciq": "sciq/sciq.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "socialiqa_choice": "siqa/siqa.yaml",
    "copa": "super_glue/copa/default.yaml",
    "winogrande": "winogrande/default.yaml",
}
# Where the main metric of a dataset is not the first that the harness's task lists.
NORMALISED = {"arc_easy", "arc_challenge", "piqa", "openbookqa", "sciq", "hellaswag"}


def raw_rows(shared, name):
    """All rows at hand of a dataset's test split."""
    from ptft.study.load import dump

    description = FAMILY.datasets[name]
    return read_raw(shared, name, dump(description), description.splits.test)


def prepared(name, rows):
    """The project's own examples of raw rows, all of which have a gold answer."""
    from ptft.data.prepare import prepare
    from ptft.study.load import dump

    dataset = dump(FAMILY.datasets[name])
    spec = {"kind": FAMILY.kind, "dataset": dataset, "split": "x", "limit": None, "seed": 0}
    examples, _ = prepare(rows, spec, name)
    assert len(examples) == len(rows)
    return examples


def task_config(name):
    import lm_eval.tasks
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(Path(lm_eval.tasks.__file__).parent / TASKS[name])
    del config["task"]
    config.pop("tag", None)
    return config


def harness_task(name, rows, shots=(), metrics=None):
    """The harness's own task over raw rows, with the shots given rather than drawn."""
    import datasets
    from lm_eval.api.task import ConfigurableTask

    if name == "boolq":  # read by the harness from SuperGLUE, where the label is a number
        rows, shots = ([{**row, "label": int(row["answer"])} for row in r] for r in (rows, shots))
    table = {"validation": datasets.Dataset.from_list(list(rows))}
    if shots:
        table["train"] = datasets.Dataset.from_list(list(shots))
    config = task_config(name) | {
        "task": f"{name}_{len(shots)}shot",
        "custom_dataset": lambda **_: datasets.DatasetDict(table),
        "training_split": "train" if shots else None,
        "fewshot_split": "train" if shots else None,
        "fewshot_config": {"sampler": "first_n"},
        "num_fewshot": len(shots),
        "validation_split": "validation",
        "test_split": None,
    }
    if metrics:
        config["metric_list"] = [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True}
            for metric in metrics
        ]
    return ConfigurableTask(config=config)


def harness_texts(task, shots):
    """(context, continuation) of every choice of every row, as the harness would encode them."""
    found = []
    for doc in task.eval_docs:
        context = task.fewshot_context(doc, shots)
        requests = task.construct_requests(doc, context, metadata=("", 0, 1))
        found.append([spaces_moved(*request.args) for request in requests])
    return found


def spaces_moved(context, continuation):
    """White space at the context's end belongs to the continuation (``_encode_pair``)."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def harness_samples(model, tasks):
    """Task -> what the harness notes of each document, in order."""
    from lm_eval.evaluator import evaluate

    run = partial(evaluate, bootstrap_iters=0, log_samples=True)
    samples = run(model, {"tasks": tasks, "groups": {}, "group_map": {}})["samples"]
    return {name: sorted(found, key=lambda one: one["doc_id"]) for name, found in samples.items()}


def odd_first(rows):
    """Rows with white space at an end of a text first: what a rewrite could lose."""
    return sorted(rows, key=lambda row: all(text == text.strip() for text in texts(row)))


def texts(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []
