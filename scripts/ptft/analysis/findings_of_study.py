"""Findings on the study itself: size, sweeps, sources, checks, and differences.

What differs is told against the paper (Sun & Dredze, arXiv 2408.06663v5).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

import polars as pl

from ptft import versions
from ptft.analysis.findings import (
    Condition,
    Finding,
    Tables,
    arm_of,
    interval,
    rows_of,
)
from ptft.analysis.scores import at_last
from ptft.analysis.tables.learning import hidden_labels
from ptft.analysis.tables.remedies import REFERENCE
from ptft.analysis.tuned_models import CHOSEN, shown_settings
from ptft.models.folder import TRAINING_SUMMARY
from ptft.paper import EXAMPLES, GRIDS, HIDDEN, RESAMPLES, SHOTS

REMEDIES = ("replay", "l2sp", "kl", "freeze", "early_stopping")
"""settings against forgetting, which the paper does not use"""
PACKAGES = ("snakemake", "torch", "transformers", "peft", "datasets", "polars", "scipy")
TRAINED = {
    "task": pl.String,
    "train_examples": pl.Int64,
    "validation_examples": pl.Int64,
    "dropped": pl.Int64,
}


def read_trained(*folders: Path | None) -> pl.DataFrame:
    """How many examples models were really tuned on, from their own records.

    One row per method and task (``full.mnli``) and set of counts: train_examples,
    validation_examples, dropped.

    Args:
        folders: of records as `CHECKPOINT/ARM/training.json`; of two of a model the later folder's
            counts. Models without a record are not counted.
    """
    found = {
        file.relative_to(folder): file
        for folder in folders
        if folder is not None
        for file in folder.glob(f"*/*/{TRAINING_SUMMARY}")
    }
    rows = []
    for _, file in sorted(found.items()):
        noted = json.loads(file.read_text())
        if "snapshot" in noted:  # the whole training has a record of its own
            continue
        rows.append(
            {
                "task": ".".join(file.parent.name.split(".")[:2]),
                "train_examples": noted["train_examples"],
                "validation_examples": noted["validation_examples"],
                "dropped": len(noted["dropped_examples"]),
            }
        )
    return pl.DataFrame(rows, schema=TRAINED).unique().sort(TRAINED.keys())


NOTES = {
    **dict.fromkeys(["checkpoint", "arm", "dataset", "format", "shots"], pl.String),
    "labels_without_gold": pl.String,
    "chosen_without_gold": pl.Float64,
    "scored_plainly": pl.String,
}


def read_notes(folder: Path | None) -> pl.DataFrame:
    """Cells of which there is something to know, one row each.

    labels_without_gold: labels of its family that no example of the dataset has, and
    chosen_without_gold, the share of examples for which the model chose one of them.
    scored_plainly: why its model was scored by plain transformers.

    Args:
        folder: of scored models' records, as `CHECKPOINT/ARM.json`; None if nothing was scored.
    """
    rows = [
        {"checkpoint": record.parent.name, "arm": record.stem}
        | dict(zip(("dataset", "format", "shots"), name.rsplit(".", 3)[:3], strict=True))
        | notes
        for record in (sorted(folder.glob("*/*.json")) if folder else ())
        for name, notes in json.loads(record.read_text()).get("notes", {}).items()
    ]
    texts = pl.DataFrame(rows, schema=dict.fromkeys(NOTES, pl.String))
    return texts.cast({"chosen_without_gold": pl.Float64})


UPDATES = {
    **dict.fromkeys(["method", "way"], pl.String),
    "chosen": pl.Boolean,
    **dict.fromkeys(["seconds", "updates_per_second", "difference", "peak_bytes"], pl.Float64),
    "dropped": pl.String,
}


def read_updates(folder: Path | None) -> pl.DataFrame:
    """How updates are computed on a GPU: one row per method and way that was tried.

    chosen: whether the method's trainings take it. seconds: of a whole run. difference: the largest
    relative one to a loss of the plain way. dropped: why it can't be taken.

    Args:
        folder: of METHOD.json (``ptft.training.updates``); None if nothing is trained.
    """
    tried = {
        file.stem: json.loads(file.read_text())
        for file in (sorted(folder.glob("*.json")) if folder else ())
    }
    rows = [
        {**trial, "method": method, "chosen": trial["way"] == found["way"]}
        for method, found in tried.items()
        for trial in found["trials"]
    ]
    return pl.DataFrame(rows, schema=UPDATES)


def run(tables: Tables, missing: int = 0, hours: float | None = None) -> Finding:
    """The size of a study, for the top of its page.

    Args:
        tables: with `cells`.
        missing: number of scores of the study that there are not.
        hours: of all jobs, if measured.
    """
    main = tables["cells"].filter(pl.col("main"))
    prompted, texts = main.filter(pl.col("kind") != "text"), main.filter(pl.col("kind") == "text")
    tuned = main.filter(pl.col("method").is_not_null())
    order = main.select("checkpoint", "step").unique().sort("step", nulls_last=True)
    return Finding(
        "run",
        "run",
        count=len(prompted),
        about={"model": main["model"][0], "seeds": max(1, tuned["seed"].drop_nulls().n_unique())},
        names=tuple(prompted["dataset"].unique().sort()),
        condition=Condition.of(prompted) if len(prompted) else None,
        more={
            "checkpoints": order["checkpoint"].to_list(),
            "tokens": [main["tokens"].min(), main["tokens"].max()],
            "tuned": len(
                tuned.filter(pl.col("derived").is_null()).select("checkpoint", "arm").unique()
            ),
            "models": len(main.select("checkpoint", "arm").unique()),
            "methods": tuned["method"].unique().sort().to_list(),
            "tasks": tuned["train_task"].unique().sort().to_list(),
            "texts": texts["dataset"].unique().sort().to_list(),
            "answers": None if prompted["n"].null_count() else int(prompted["n"].sum()),
            "missing": missing,
            "hours": hours,
        },
    )


FIRST_TO_READ = (
    *("one gold label", "near perfect untuned", "unlikely labels", "constant answer"),
    *("near-constant answer", "below chance", "no variance", "empty answers", "cut answers"),
    *("shots cut", "same score twice"),
)
"""flags by how much they matter"""


RARELY = 0.01
"""a share of examples below it is nothing"""
CELL = ["checkpoint", "method", "train_task", "setting", "dataset", "format", "shots"]


def doubts(tables: Tables) -> Iterator[Finding]:
    """Trainings that did not learn, and scores that should not be used, by why; of how many."""
    flagged = tables.get("suspicious")
    if flagged is None:
        return
    scored = tables["cells"].filter(pl.col("main"), pl.col("kind") != "text")
    every = scored.select(CELL).n_unique() if len(scored) else 0
    failed = _failed(tables.get("arms"))
    unused = _unused_labels(tables, every)
    count = flagged.select(CELL).n_unique() if len(flagged) else 0
    yield Finding(
        "doubts",
        "doubts",
        count=count,
        of=every,
        names=tuple(hidden_labels(flagged)),
        more={"failed": failed.count if failed else 0, "trained": failed.of if failed else 0},
    )
    yield from filter(None, (failed,))
    for flag in FIRST_TO_READ:
        rows = flagged.filter(pl.col("flag") == flag)
        if rows.is_empty():
            continue
        tuned = rows.filter(pl.col("method").is_not_null())
        yield Finding(
            "doubts",
            "warning",
            verdict=flag,
            count=rows.select(CELL).n_unique(),
            of=every,
            names=tuple(rows["dataset"].unique().sort()),
            more={"base": len(rows) - len(tuned)},
        )
    yield from filter(None, (unused,))


def _failed(arms: pl.DataFrame | None) -> Finding | None:
    """Trainings that did not learn, by method and task; None where all did."""
    judged = None if arms is None else arms.filter(pl.col("learned").is_not_null())
    if judged is None or judged["learned"].all():
        return None
    groups = judged.group_by("method", "train_task", "setting", maintain_order=True).agg(
        failed=(~pl.col("learned")).sum(),
        of=pl.len(),
        checkpoints=pl.col("checkpoint").filter(~pl.col("learned")).unique(maintain_order=True),
        why=pl.col("training").filter(~pl.col("learned")).unique().sort(),
    )
    rows = groups.filter(pl.col("failed") > 0).rows(named=True)
    return Finding(
        "doubts",
        "failed",
        verdict="did not learn",
        count=int((~judged["learned"]).sum()),
        of=len(judged),
        more={"groups": [{**row, "task": row["train_task"]} for row in rows]},
    )


def _unused_labels(tables: Tables, every: int) -> Finding | None:
    """Labels of a family that a dataset does not have, where models choose them."""
    chosen = rows_of(tables, "notes", pl.col("chosen_without_gold") > RARELY)
    if chosen is None:
        return None
    return Finding(
        "doubts",
        "warning",
        verdict="label without gold",
        count=len(chosen),
        of=every,
        names=tuple(chosen["dataset"].unique().sort()),
        more={"base": len(chosen.filter(arm="base"))},
    )


def learned(tables: Tables) -> Iterator[Finding]:
    """In how many seeds each method learned at the last checkpoint, and what that changes.

    One row a method and task; where some seed failed, also what is gained, kept and spared with and
    without it. ``spared``: kept more than by full fine-tuning on the same task.
    """
    known = rows_of(tables, "trainings")
    if known is None:
        return
    arms = tables.get("arms")
    if arms is not None:
        of = ["method", "setting"]
        known = known.join(shown_settings(arms), on=of, how="semi", nulls_equal=True)
    last = at_last(known, "method", "train_task").sort("train_task", "method")
    of_full = last.filter(method=REFERENCE[0]).select(
        "train_task", full="kept", full_if_learned="kept_if_learned"
    )
    last = last.join(of_full, on="train_task", how="left", maintain_order="left").with_columns(
        spared=pl.col("kept") - pl.col("full"),
        spared_if_learned=pl.col("kept_if_learned") - pl.col("full_if_learned"),
    )
    for row in last.iter_rows(named=True):
        found = Finding(
            "added",
            "training",
            **interval(row, "share"),
            verdict="learned" if row["learned"] == row["trained"] else "did not learn",
            count=row["learned"],
            of=row["trained"],
            about=arm_of(row) | {"seeds": row["trained"]},
            more={
                name: row[name]
                for what in ("gain", "kept", "spared")
                for name in (what, f"{what}_if_learned")
            },
        )
        if found.verdict != "learned":
            yield replace(found, kind="learned_gain")
            yield replace(found, kind="learned_kept", question="forgotten")
            if row["method"] != REFERENCE[0] and row["spared"] is not None:
                yield replace(found, kind="learned_spared", question="spared")
        if row["trained"] > 1 or found.verdict != "learned":
            yield found


def sweeps(arms: pl.DataFrame | None) -> Iterator[Finding]:
    """Swept settings: which exist, which one is told of, which choices are at an edge."""
    if arms is None:
        return
    for method, setting in shown_settings(arms).iter_rows():
        own = arms.filter(pl.col("method") == method)["setting"].unique(maintain_order=True)
        if own.null_count() < len(own):
            yield Finding(
                "run",
                "sweep",
                verdict="chosen" if setting == CHOSEN else "first",
                of=len(own),
                about={"method": method, "setting": setting},
                more={"settings": own.to_list()},
            )
    place = ["checkpoint", "method", "train_task"]
    edges = arms.filter("at_edge").unique(place, maintain_order=True)
    if len(edges):
        yield Finding(
            "run",
            "edges",
            count=len(edges),
            of=len(arms.filter("chosen").unique(place)),
            more={"choices": edges.select(*place, "setting").rows(named=True)},
        )


def provenance(resolved: Mapping) -> Iterator[Finding]:
    """Sources, seeds and versions.

    Args:
        resolved: the resolved study (``study.yaml``); its key `fetched` has the pins, `versions`
            the software that computed a study redrawn from an archive.
    """
    study = resolved["study"]
    found = resolved.get("versions") or versions.stages()
    yield Finding("provenance", "study", about={"study": study["study"]})
    if "published" in study:
        yield Finding("provenance", "not_run", about={"model": study["published"]["model"]})
    else:
        source = resolved["model"]["source"]
        more = {**source, "version": found["pocket"]}
        about = {"model": study["model"]}
        yield Finding("provenance", "source", verdict=source["kind"], about=about, more=more)
        seeds = {seed for group in study["finetune"].values() for seed in group["seeds"]}
        told = {
            "data": study["data"]["seed"],
            "shots": study["evaluate"]["shots_seed"],
            "training": sorted(seeds),
            "resampling": study["bootstrap"]["seed"],
        }
        yield Finding("provenance", "random_seeds", more=told)
        yield Finding("provenance", "versions", more=dict(found))
    yield Finding("provenance", "software", more={"programs": _programs()})


def _programs() -> dict[str, str]:
    """Versions of Python and of the installed packages of ``PACKAGES``."""
    found = {"python": python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def checked(tables: Tables, trained: pl.DataFrame) -> Iterator[Finding]:
    """Results of the checks of splits and prompts, and what models were trained on."""
    splits, prompts = tables.get("audit_splits"), tables.get("audit_prompts")
    if splits is not None:
        yield Finding(
            "checks",
            "splits",
            count=int((splits["rows"] - splits["kept"]).sum()),
            of=int(splits["rows"].sum()),
            more={"splits": len(splits), "used": int(splits["used"].sum())},
        )
    if prompts is not None:
        cut = prompts.filter(pl.col("truncated") > 0)["dataset"].unique().sort()
        yield Finding(
            "checks",
            "prompts",
            count=int(prompts["truncated"].sum()),
            of=int(prompts["prompts"].sum()),
            names=tuple(cut),
        )
    for row in trained.iter_rows(named=True):
        yield Finding("checks", "trained", about={"arm": row["task"]}, more=row)


def deviations(resolved: Mapping, trained: pl.DataFrame) -> list[Finding]:
    """Differences from the paper.

    Args:
        resolved: the resolved study (``study.yaml``).
        trained: how many examples models were tuned on (:func:`read_trained`); without rows, the
            number asked for is told.
    """
    study = resolved["study"]
    if "published" in study:
        tables = study["published"]["datasets"].values()
        names = [about.get("name") or name for table in tables for name, about in table.items()]
        return [_differs("released", names=HIDDEN), *_of_groups(names)]
    return [
        *_of_the_model(study),
        *_of_training(study),
        *_of_data(resolved, trained),
        *_of_scoring(resolved),
        *_of_groups(study["evaluate"]["datasets"]),
    ]


def _differs(
    what: str, ours: Any = None, theirs: Any = None, names: Sequence[str] = (), **more: Any
) -> Finding:
    """One difference: what is so here, and what the paper has."""
    told = {"ours": ours, "theirs": theirs, **more}
    return Finding("deviations", f"differs_{what}", names=tuple(names), more=told)


def _of_the_model(study: Mapping) -> Iterator[Finding]:
    paper = GRIDS.get(study["model"])
    if paper is None:
        yield _differs("model", study["model"])
    elif study["checkpoints"] != paper["checkpoints"]:
        yield _differs("checkpoints", study["checkpoints"], paper["checkpoints"])


def _of_training(study: Mapping) -> Iterator[Finding]:
    paper: Mapping[str, Any] = GRIDS.get(study["model"], GRIDS["olmo-1b"])
    groups = study["finetune"]
    tasks = list(dict.fromkeys(task for group in groups.values() for task in group["tasks"]))
    if sorted(tasks) != sorted(paper["tasks"]):
        yield _differs("tasks", tasks, paper["tasks"])
    new = [method for method in groups if method not in paper["settings"]]
    if new:
        yield _differs("methods", new)
    # Another model needs other learning rates: nothing to compare with.
    for method, group in groups.items() if study["model"] in GRIDS else ():
        swept = _swept(group.get("sweep", {}))
        for key, values in swept.items():
            yield _differs("sweep", values, method=method, key=key)
        for task, changed in group["tasks"].items():
            theirs = paper["settings"].get(method, {}) | paper["task_settings"].get(task, {})
            ours = {**group["settings"], **changed}
            known = [key for key in paper["settings"].get(method, {}) if key not in swept]
            other = [key for key in known if ours[key] != theirs[key]]
            if other:
                yield _differs(
                    "settings",
                    {key: ours[key] for key in other},
                    {key: theirs[key] for key in other},
                    method=method,
                    task=task,
                )
    seeds = max((len(group["seeds"]) for group in groups.values()), default=1)
    if seeds > 1:
        yield _differs("seeds", seeds)
    if study["train_format"] != "default":
        yield _differs("format", study["train_format"], "default")
    asked = [each for one in groups.values() for each in (one["settings"], *one["tasks"].values())]
    found = [key for key in REMEDIES if any(settings.get(key) for settings in asked)]
    if found:
        yield _differs("remedies", found)


def _swept(sweep: Mapping | Sequence[Mapping]) -> dict[str, list]:
    """Setting -> all its values, in one sweep or several."""
    found: dict[str, list] = {}
    for one in [sweep] if isinstance(sweep, Mapping) else sweep:
        for key, values in one.items():
            found.setdefault(key, []).extend(values)
    return found


def _of_data(resolved: Mapping, trained: pl.DataFrame) -> Iterator[Finding]:
    study = resolved["study"]
    data, scored = study["data"], study["evaluate"]["datasets"]
    if len(trained):
        if set(trained["train_examples"]) != {EXAMPLES}:
            counts = trained.select("task", "train_examples").unique().sort("task").rows()
            yield _differs("examples", counts, EXAMPLES)
    elif data.get("train") != EXAMPLES:
        yield _differs("examples_asked", data.get("train"), EXAMPLES)
    if data.get("test") is not None:
        yield _differs("test", data["test"])
    splits = {
        name: dataset["splits"].get("test")
        for family in resolved["families"].values()
        for name, dataset in family["datasets"].items()
    }
    labelled = [name for name in HIDDEN if name in scored and splits[name] != "test"]
    if labelled:
        yield _differs("labelled", names=labelled)


def _of_scoring(resolved: Mapping) -> Iterator[Finding]:
    evaluate = resolved["study"]["evaluate"]
    kinds = {
        family["kind"]
        for family in resolved["families"].values()
        if set(family["datasets"]) & set(evaluate["datasets"])
    }
    if evaluate["shots"] != SHOTS:
        yield _differs("shots", evaluate["shots"], SHOTS)
    if max(*evaluate["shots"], *(max(s) for s in evaluate["family_shots"].values()), 0):
        yield _differs("shot_rows")
    if "classification" in kinds:
        yield _differs("first_token")
    if "generation" in kinds:
        yield _differs("failed_generation")
    if "text" in kinds:
        yield _differs("text")
    resamples = resolved["study"]["bootstrap"]["resamples"]
    if resamples != RESAMPLES:
        yield _differs("resamples", resamples, RESAMPLES)


def _of_groups(datasets: Sequence[str]) -> Iterator[Finding]:
    yield _differs("groups")
    if "sciq" in datasets:
        yield _differs("sciq")
