"""Where a study differs from the paper (Sun & Dredze, arXiv 2408.06663v5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from ptft.language.translation import Translate
from ptft.paper import EXAMPLES, GRIDS, HIDDEN, RESAMPLES, SHOTS
from ptft.report.rst import listed, literal, plain

REMEDIES = ("replay", "l2sp", "kl", "freeze", "early_stopping")
"""settings against forgetting, which the paper does not use"""


def deviations(resolved: Mapping, trained: pl.DataFrame, translate: Translate) -> list[str]:
    """Sentences on what differs from the paper.

    Args:
        resolved: the resolved study (``study.yaml``).
        trained: how many examples models were tuned on (``ptft.report.trained.read_trained``);
            without rows, the sentence gives the number asked for.
        translate: into the report's language.
    """
    if "published" in resolved["study"]:
        return [
            *_of_released(translate),
            *_of_groups(_released_datasets(resolved["study"]), translate),
        ]
    return [
        *_of_the_model(resolved["study"], translate),
        *_of_training(resolved["study"], translate),
        *_of_remedies(resolved["study"], translate),
        *_of_data(resolved, trained, translate),
        *_of_scoring(resolved, translate),
        *_of_groups(resolved["study"]["evaluate"]["datasets"], translate),
    ]


def _of_the_model(study: Mapping, translate: Translate) -> Iterator[str]:
    paper = GRIDS.get(study["model"])
    if paper is None:
        yield translate(
            "The model is {model}; the paper's are OLMo-1B and, at its last checkpoint only, "
            "Llama-3-8B."
        ).format(model=literal(study["model"]))
        return
    if study["checkpoints"] != paper["checkpoints"]:
        yield translate("The checkpoints are {ours}; the paper's {theirs}.").format(
            ours=listed(study["checkpoints"]), theirs=listed(paper["checkpoints"])
        )


def _of_training(study: Mapping, translate: Translate) -> Iterator[str]:
    paper = GRIDS.get(study["model"], GRIDS["olmo-1b"])
    groups = study["finetune"]
    tasks = list(dict.fromkeys(task for group in groups.values() for task in group["tasks"]))
    if sorted(tasks) != sorted(paper["tasks"]):
        yield translate("The tasks are {ours}; the paper's {theirs}.").format(
            ours=listed(tasks), theirs=listed(paper["tasks"])
        )
    new = [method for method in groups if method not in paper["settings"]]
    if new:
        yield translate("The paper does not have the methods {names}.").format(names=listed(new))
    # Another model needs other learning rates: nothing to compare with.
    for method, group in groups.items() if study["model"] in GRIDS else ():
        swept = _swept(group.get("sweep", {}))
        for key, values in swept.items():
            yield translate("{method}: {key} is swept over {values}; the paper has one.").format(
                method=method, key=literal(key), values=", ".join(map(str, values))
            )
        for task, changed in group["tasks"].items():
            theirs = paper["settings"].get(method, {}) | paper["task_settings"].get(task, {})
            ours = {**group["settings"], **changed}
            known = [key for key in paper["settings"].get(method, {}) if key not in swept]
            other = [key for key in known if ours[key] != theirs[key]]
            if other:
                yield translate("{method} on {task}: {ours}; the paper {theirs}.").format(
                    method=method,
                    task=literal(task),
                    ours=", ".join(f"{key} {ours[key]:g}" for key in other),
                    theirs=", ".join(f"{key} {theirs[key]:g}" for key in other),
                )
    seeds = max((len(group["seeds"]) for group in groups.values()), default=1)
    if seeds > 1:
        yield translate("{n} training seeds; the paper has one.").format(n=seeds)
    if study["train_format"] != "default":
        yield translate("Trained in the format {name}; the paper in {theirs}.").format(
            name=literal(study["train_format"]), theirs="``default``"
        )


def _swept(sweep: Mapping | Sequence[Mapping]) -> dict[str, list]:
    """Setting -> all its values, in one sweep or several."""
    found: dict[str, list] = {}
    for one in [sweep] if isinstance(sweep, Mapping) else sweep:
        for key, values in one.items():
            found.setdefault(key, []).extend(values)
    return found


def _of_remedies(study: Mapping, translate: Translate) -> Iterator[str]:
    groups = study["finetune"].values()
    asked = [each for group in groups for each in (group["settings"], *group["tasks"].values())]
    found = [key for key in REMEDIES if any(settings.get(key) for settings in asked)]
    if found:
        yield translate("The paper does not have the settings {names}.").format(names=listed(found))


def _of_data(resolved: Mapping, trained: pl.DataFrame, translate: Translate) -> Iterator[str]:
    study = resolved["study"]
    data, evaluate = study["data"], study["evaluate"]
    if len(trained):
        if set(trained["train_examples"]) != {EXAMPLES}:
            counts = trained.select("task", "train_examples").unique().sort("task").iter_rows()
            yield translate(
                "Training examples: {counts}; the paper uses {theirs} per task."
            ).format(
                counts=", ".join(f"{plain(task)} {count}" for task, count in counts),
                theirs=EXAMPLES,
            )
    elif data.get("train") != EXAMPLES:
        yield translate("Training examples per task: at most {n}; the paper uses {theirs}.").format(
            n=data.get("train") or translate("all"), theirs=EXAMPLES
        )
    if data.get("test") is not None:
        yield translate("At most {n} examples of each test set are scored.").format(n=data["test"])
    splits = {
        name: dataset["splits"].get("test")
        for family in resolved["families"].values()
        for name, dataset in family["datasets"].items()
    }
    labelled = [name for name in HIDDEN if name in evaluate["datasets"] and splits[name] != "test"]
    if labelled:
        yield translate(
            "{names}: scored on a split with labels. The paper scores the test split, whose labels "
            "are hidden, so that a constant answer is always right."
        ).format(names=listed(labelled))


def _of_scoring(resolved: Mapping, translate: Translate) -> Iterator[str]:
    evaluate = resolved["study"]["evaluate"]
    kinds = {
        family["kind"]
        for family in resolved["families"].values()
        if set(family["datasets"]) & set(evaluate["datasets"])
    }
    if evaluate["shots"] != SHOTS:
        yield translate("Shots: {ours}; the paper {theirs}.").format(
            ours=", ".join(map(str, evaluate["shots"])), theirs=", ".join(map(str, SHOTS))
        )
    if max(*evaluate["shots"], *(max(s) for s in evaluate["family_shots"].values()), 0):
        yield translate(
            "Shots come from rows that are never evaluated; the paper's are the first rows of the "
            "evaluated file and stay in the test set."
        )
    if "classification" in kinds:
        yield translate(
            "A label is scored by its first sub-token; the release takes the maximum over all "
            "sub-tokens of all labels."
        )
    if "generation" in kinds:
        yield translate(
            "A generation that fails stops the job; the release counts it as an empty answer."
        )
    if "text" in kinds:
        yield translate("Generic text is scored by its loss; the paper scores prompts alone.")
    resamples = resolved["study"]["bootstrap"]["resamples"]
    if resamples != RESAMPLES:
        yield translate("{ours} resamples for the intervals; the paper takes {theirs}.").format(
            ours=resamples, theirs=RESAMPLES
        )


def _of_groups(datasets: list[str], translate: Translate) -> Iterator[str]:
    yield translate(
        "Datasets are grouped into learned and not learned by a rule; the paper assigns them by "
        "hand."
    )
    if "sciq" in datasets:
        yield translate(
            "``sciq`` counts once in the mean of its group; the paper's Table 6 counts it twice."
        )


def _of_released(translate: Translate) -> Iterator[str]:
    yield translate(
        "The scores are the paper's own, with flaws that cannot be corrected afterwards: "
        "{names} on hidden labels, shots from the evaluated rows, labels scored over all "
        "sub-tokens, failed generations as empty answers."
    ).format(names=listed(HIDDEN))


def _released_datasets(study: Mapping) -> list[str]:
    tables = study["published"]["datasets"].values()
    return [about.get("name") or name for table in tables for name, about in table.items()]
