"""The report's front page: what was run and what came out, in sentences made from the tables.

Every number comes from a table; a finding whose table is empty is left out, and the page says so.
The text is reStructuredText, which Snakemake's report renders.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ptft.analysis.forgetting import ALL_TASKS
from ptft.analysis.format_trends import ALL_DATASETS
from ptft.analysis.settings import Settings
from ptft.analysis.suspicious import FLAGS
from ptft.costs import costs_table
from ptft.language import Say
from ptft.wording import bullets, change, csv_table, listed, number, plain

Tables = Mapping[str, pl.DataFrame]


def what_was_run(cells: pl.DataFrame, missing: int, say: Say) -> list[str]:
    """Sentences on the size of the study."""
    main = cells.filter(pl.col("main"))
    tuned = main.filter(pl.col("method").is_not_null())
    order = main.select("checkpoint", "step").unique().sort("step", nulls_last=True)
    sentences = [
        say(
            "{model}: {checkpoints} checkpoints of pre-training ({names}), the base model of each "
            "and {arms} fine-tuned models of each ({methods} on {tasks}; seeds: {seeds})."
        ).format(
            model=f"``{main['model'][0]}``",
            checkpoints=len(order),
            names=listed(order["checkpoint"].to_list()),
            arms=tuned["arm"].n_unique(),
            methods=listed(tuned["method"].unique().sort().to_list()),
            tasks=listed(tuned["train_task"].unique().sort().to_list()),
            seeds=max(1, tuned["seed"].n_unique()),
        ),
        say("Each was scored on {datasets} datasets, formats {formats}, {shots} shots:").format(
            datasets=main["dataset"].n_unique(),
            formats=listed(main["format"].unique().sort().to_list()),
            shots=", ".join(map(str, main["shots"].unique().sort())),
        )
        + " "
        + how_many(main, say),
    ]
    if missing:
        sentences.append(
            say(
                "{missing} scores of the study are missing (see ``missing.csv``); means over "
                "incomplete sets are marked in the tables."
            ).format(missing=missing)
        )
    return sentences


def how_many(main: pl.DataFrame, say: Say) -> str:
    """Number of scores, and of answers where every score says how many it is made from."""
    if main["n"].null_count():
        return say("{cells} scores in all.").format(cells=len(main))
    return say("{cells} scores over {examples} answers in all.").format(
        cells=len(main), examples=f"{main['n'].sum():,}"
    )


def group_finding(groups: pl.DataFrame, settings: Settings, say: Say) -> list[str]:
    """Which datasets pre-training alone teaches."""
    if groups.is_empty():
        return []
    names = {
        group: groups.filter(pl.col("group") == group).sort("dataset")
        for group in ("learned", "not_learned")
    }
    weak = groups.filter(pl.col("support") < settings.level)["dataset"].sort().to_list()
    text = say(
        "Learned in pre-training, by rule (the base score rises by at least {margin} from the "
        "first to the last checkpoint, the interval excludes zero and chance): {learned}. Not "
        "learned: {others}."
    ).format(
        margin=settings.rise_margin,
        learned=_with_ends(names["learned"]),
        others=_with_ends(names["not_learned"]),
    )
    if weak:
        text += " " + say("Not settled by the examples at hand: {names}.").format(
            names=listed(weak)
        )
    return [text]


def _with_ends(rows: pl.DataFrame) -> str:
    """Datasets with the base score at both ends of pre-training."""
    return (
        ", ".join(
            f"``{row['dataset']}`` ({number(row['first'])} → {number(row['last'])})"
            for row in rows.iter_rows(named=True)
        )
        or "–"
    )


def latent_findings(latent: pl.DataFrame, settings: Settings, say: Say) -> list[str]:
    """Which curves rise under a flat base, then one sentence a curve of a task's own test set."""
    if latent.is_empty():
        return []
    shown = latent.filter(pl.col("latent"))["dataset"].unique().sort().to_list()
    sentences = [
        say(
            "Learned latently (the tuned score rises by at least {margin} while the base score "
            "does not): {names}."
        ).format(margin=settings.rise_margin, names=listed(shown))
    ]
    own = latent.filter(pl.col("domain") == "in").sort("method", "train_task", "dataset")
    for row in own.iter_rows(named=True):
        sentences.append(
            say(
                "Tuned on {task} ({method}), {dataset} goes from {first} at {start} to {last} at "
                "{end}: {rise}; the base model from {base_first} to {base_last}: {base_rise}."
            ).format(
                task=f"``{row['train_task']}``",
                method=row["method"],
                dataset=f"``{row['dataset']}``",
                start=row["first_checkpoint"],
                end=row["last_checkpoint"],
                first=number(row["tuned_first"]),
                last=number(row["tuned_last"]),
                rise=_rise(row, "tuned", say, settings.level),
                base_first=number(row["base_first"]),
                base_last=number(row["base_last"]),
                base_rise=_rise(row, "base", say, settings.level),
            )
        )
    return sentences


def out_of_domain_table(latent: pl.DataFrame, say: Say) -> str:
    """First and last scores on the rest of each task's family."""
    heads = ("tuned on", "dataset", "first tuned", "last tuned", "first base", "last base")
    columns = ("tuned_first", "tuned_last", "base_first", "base_last")
    rows = latent.filter(pl.col("domain") == "out").sort("method", "train_task", "dataset")
    return csv_table(
        [say(head) for head in heads],
        [
            [f"{row['train_task']} ({row['method']})", row["dataset"]]
            + [number(row[column]) for column in columns]
            for row in rows.iter_rows(named=True)
        ],
    )


def _rise(row: Mapping, which: str, say: Say, level: float) -> str:
    low, high = row[f"{which}_rise_ci_low"], row[f"{which}_rise_ci_high"]
    return change(row[f"{which}_rise"], low, high, say, level)


def forgetting_findings(forgetting: pl.DataFrame, settings: Settings, say: Say) -> list[str]:
    """Mean relative change at the last checkpoint, one sentence a direction and method."""
    mean = forgetting.filter(pl.col("train_task") == ALL_TASKS)
    sentences = []
    for _, rows in mean.sort("index").group_by("direction", "method", maintain_order=True):
        row = rows.row(-1, named=True)
        start, end = row["direction"].split(">")
        percent = {
            key: None if row[key] is None else 100 * row[key]
            for key in ("bounded", "bounded_ci_low", "bounded_ci_high")
        }
        text = say(
            "{start} → {end} ({method}): tuned at {checkpoint}, a model's score on datasets of "
            "other families changes by {value} % of the base model's{interval}, over {n} pairs of "
            "task and dataset; the paper's ratio (MRC) is {mrc}."
        ).format(
            start=say(f"tuned on {start}").capitalize(),
            end=say(f"tested on {end}"),
            method=row["method"],
            checkpoint=row["checkpoint"],
            value=f"{percent['bounded']:+.1f}".replace("-", "−"),
            interval=""
            if percent["bounded_ci_low"] is None
            else " ("
            + say("{level} % interval {low} to {high}").format(
                level=f"{100 * settings.level:g}",
                low=f"{percent['bounded_ci_low']:.1f}".replace("-", "−"),
                high=f"{percent['bounded_ci_high']:.1f}".replace("-", "−"),
            )
            + ")",
            n=row["n_cells"],
            mrc=say("undefined, a base score is 0") if row["mrc"] is None else number(row["mrc"]),
        )
        sentences.append(text)
    return sentences


def format_findings(formats: pl.DataFrame, say: Say) -> list[str]:
    """Mean spread over formats of base and tuned models at both ends of pre-training."""
    if formats.is_empty():
        return []
    spread = formats.unique(["index", "method", "train_task", "dataset", "shots"])
    tuned = spread.filter(pl.col("method").is_not_null())
    base = spread.filter(
        pl.col("method").is_null() & pl.col("dataset").is_in(tuned["dataset"].unique().to_list())
    )
    if tuned.is_empty() or base.is_empty():
        return []

    def end(rows: pl.DataFrame, at: int) -> float:
        return rows.filter(pl.col("index") == at)["spread"].mean()

    first, last = formats["index"].min(), formats["index"].max()
    return [
        say(
            "On the tasks' own test sets the best and the worst prompt format lie {base_first} "
            "apart for the first base model and {base_last} for the last; for the tuned models "
            "{tuned_first} and {tuned_last}."
        ).format(
            base_first=number(end(base, first)),
            base_last=number(end(base, last)),
            tuned_first=number(end(tuned, first)),
            tuned_last=number(end(tuned, last)),
        )
    ]


def format_trend_findings(trends: pl.DataFrame, settings: Settings, say: Say) -> list[str]:
    """Slope of the gap to the format of training, one sentence a format and kind of model."""
    sentences = []
    means = trends.filter(pl.col("dataset") == ALL_DATASETS)
    for row in means.sort("method", "format", nulls_last=False).iter_rows(named=True):
        sentences.append(
            say(
                "Gap of format {format} to {trained}, {model}: {first} at the first checkpoint, "
                "{last} at the last; per checkpoint {slope}."
            ).format(
                format=f"``{row['format']}``",
                trained=f"``{settings.format}``",
                model=say("base models")
                if row["method"] is None
                else say("tuned models ({method})").format(method=row["method"]),
                first=number(row["gap_first"]),
                last=number(row["gap_last"]),
                slope=change(
                    row["slope"], row["slope_ci_low"], row["slope_ci_high"], say, settings.level
                ),
            )
        )
    return sentences


VERDICTS = {
    "related": "the tasks' turning points and stops are related",
    "not shown": "a relation is not shown",
    "too few tasks": "too few tasks to tell",
    "no spread": "all tasks stop, or turn, at the same checkpoint",
}


def prediction_findings(prediction: pl.DataFrame, settings: Settings, say: Say) -> list[str]:
    """Whether the base models' turning point predicts the stop, one sentence a method."""
    sentences = []
    for row in prediction.iter_rows(named=True):
        text = say(
            "Does the turning point of the base models' scores predict the stop ({method}, {n} "
            "tasks)? {verdict}"
        ).format(method=row["method"], n=row["n_tasks"], verdict=say(VERDICTS[row["verdict"]]))
        if row["rho"] is not None:
            text += say(
                " (rank correlation {rho}; by chance within {low} to {high} in {level} % of the "
                "orders; p {p})"
            ).format(
                rho=number(row["rho"]),
                low=number(row["null_low"]),
                high=number(row["null_high"]),
                level=f"{100 * settings.level:g}",
                p=number(row["p"]),
            )
        sentences.append(text + say("."))
    return sentences


def stopping_table(stopping: pl.DataFrame, say: Say) -> str:
    """Where pre-training could have stopped for each task's own test sets."""
    heads = (
        "tuned on", "dataset", "by the scores", "in % of resamples", "with confidence",
        "tokens saved (%)",
    )  # fmt: skip
    rows = []
    for row in stopping.iter_rows(named=True):
        support, share = row["stop_support"], row["safe_share_saved"]
        rows.append(
            [
                f"{row['train_task']} ({row['method']})",
                row["dataset"],
                row["stop_checkpoint"],
                "–" if support is None else f"{100 * support:.0f}",
                row["safe_checkpoint"] or "–",
                "–" if share is None else f"{100 * share:.0f}",
            ]
        )
    return csv_table([say(head) for head in heads], rows)


def suspicious_findings(suspicious: pl.DataFrame, say: Say) -> list[str]:
    """One line a flag: how many scores, on which datasets."""
    lines = []
    for flag, meaning in FLAGS.items():
        rows = suspicious.filter(pl.col("flag") == flag)
        if rows.is_empty():
            continue
        lines.append(
            say("{flag}: {n} scores on {datasets} ({meaning}).").format(
                flag=f"**{say(flag)}**",
                n=len(rows),
                datasets=listed(rows["dataset"].unique().sort().to_list()),
                meaning=say(meaning),
            )
        )
    return lines


def front_page(
    title: str,
    description: str,
    tables: Tables,
    missing: int,
    costs: pl.DataFrame | None,
    settings: Settings,
    figures: Mapping[str, str],
    say: Say = str,
    about: Mapping[str, list[str]] | None = None,
) -> str:
    """The whole page as reStructuredText.

    Args:
        title: name of the study.
        description: its own description, one paragraph.
        tables: `cells` and the tables of ``ptft.analysis`` by name.
        missing: number of scores the study lacks.
        costs: hours by stage and arm (``ptft.costs``); None where they were not measured.
        settings: of the analyses.
        figures: file name in the report -> title, for the links.
        say: the language.
        about: heading -> paragraphs on how the scores came about (``ptft.deviations``,
            ``ptft.provenance``).
    """
    margin = say(
        "Checkpoint from which on the tuned score stays within {margin} of its last value: by the "
        "scores as they are, and with {level} % confidence."
    ).format(margin=settings.stop_margin, level=f"{100 * settings.level:g}")
    stops = stopping_table(tables["stopping"], say)
    parts = {
        "What was run": what_was_run(tables["cells"], missing, say),
        "What pre-training teaches by itself": group_finding(tables["groups"], settings, say),
        "What only fine-tuning shows": [
            *bullets(latent_findings(tables["latent"], settings, say)),
            out_of_domain_table(tables["latent"], say),
        ],
        "What fine-tuning forgets": bullets(
            forgetting_findings(tables["forgetting"], settings, say)
        ),
        "Prompt formats": [
            *format_findings(tables["formats"], say),
            *bullets(format_trend_findings(tables["format_trends"], settings, say)),
        ],
        "When pre-training could have stopped": [
            *([margin, stops] if stops else []),
            *bullets(prediction_findings(tables["stopping_prediction"], settings, say)),
        ],
        "Scores to look at twice": bullets(suspicious_findings(tables["suspicious"], say))
        or [say("None was flagged.")],
        **(about or {}),
        "What it cost": [] if costs is None else costs_table(costs, say),
        "How to read the numbers": [
            say(
                "Scores lie between 0 and 1. Intervals come from resampling the test examples, "
                "the same ones for every model (and the training seeds, where there are several); "
                "they do not cover the choice of datasets. Comparisons of many datasets are "
                "exploratory."
            )
        ],
        "Figures": bullets(f"{say(caption)}: `{name}`_" for name, caption in figures.items()),
    }
    sections = [_heading(plain(title), "="), plain(description)]
    for heading, paragraphs in parts.items():
        filled = [paragraph for paragraph in paragraphs if paragraph]
        sections += [_heading(say(heading), "-"), *(filled or [say("Nothing to say: no scores.")])]
    return "\n\n".join(sections) + "\n"


def _heading(text: str, underline: str) -> str:
    # Wide characters count double in reStructuredText's underlines.
    return f"{text}\n{underline * (2 * len(text))}"
