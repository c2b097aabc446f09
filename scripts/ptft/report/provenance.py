"""What the numbers are based on: data, commits, versions, seeds; for the front page."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from platform import python_version

import polars as pl

from ptft import versions
from ptft.language.translation import Translate
from ptft.report.rst import bullets, csv_table, listed, literal, plain
from ptft.report.trained import trained_said

PACKAGES = ("snakemake", "torch", "transformers", "peft", "datasets", "polars", "scipy")


def provenance(resolved: Mapping, translate: Translate) -> list[str]:
    """Paragraphs on the study's name, sources, commits, versions and seeds.

    Args:
        resolved: the resolved study (``study.yaml``); its key `fetched` has the pins, `versions`
            the software that computed a study redrawn from an archive.
        translate: into the report's language.
    """
    study = resolved["study"]
    found = resolved.get("versions") or versions.stages()
    lines = [
        translate("Study {name}; all settings are in {file}.").format(
            name=literal(study["study"]), file="``study.yaml``"
        )
    ]
    if "published" in study:
        released = study["published"]
        lines.append(
            translate("Model {model}, not run here.").format(model=literal(released["model"]))
        )
        heads, rows = (
            ["table", "SHA-256"],
            [[*map(plain, row)] for row in released["tables"].items()],
        )
    else:
        lines += [
            _source(study["model"], resolved["model"]["source"], found["pocket"], translate),
            _seeds(resolved, translate),
        ]
        heads = ["fetched", "repository", "revision", "commit"]
        rows = [
            [
                plain(text)
                for text in (
                    path.removesuffix(".pin.json"),
                    pin["repository"],
                    pin["revision"],
                    pin["commit"],
                )
            ]
            for path, pin in resolved.get("fetched", {}).items()
        ]
        lines.append(
            translate("Versions of data {data}, training {training} and scoring {scoring}.").format(
                **found
            )
        )
    lines.append(
        translate("Software that wrote this page: {programs}.").format(programs=_programs())
    )
    return [*bullets(lines), csv_table([translate(head) for head in heads], rows)]


def audit_summary(
    splits: pl.DataFrame, prompts: pl.DataFrame, trained: pl.DataFrame, translate: Translate
) -> list[str]:
    """Paragraphs on the audit of labels and prompts (tables of ``ptft.audit.study``), and on how
    many examples models were trained on (``ptft.report.trained``)."""
    lines = [
        translate(
            "{splits} splits hold {rows} rows; {dropped} of them were dropped, {used} drawn. "
            "Balance, duplicates and lengths: {table}."
        ).format(
            splits=len(splits),
            rows=f"{splits['rows'].sum():,}",
            dropped=f"{(splits['rows'] - splits['kept']).sum():,}",
            used=f"{splits['used'].sum():,}",
            table="``audit_splits``",
        ),
        translate(
            "{truncated} of {prompts} prompts did not fit the context and lost shots or the tail "
            "of their longest field: {names} ({table})."
        ).format(
            truncated=f"{prompts['truncated'].sum():,}",
            prompts=f"{prompts['prompts'].sum():,}",
            names=listed(
                prompts.filter(pl.col("truncated") > 0)["dataset"].unique().sort().to_list()
            ),
            table="``audit_prompts``",
        ),
    ]
    lines += trained_said(trained, translate)
    heads = ["dataset", "split", "rows", "drawn", "dropped", "largest share", "warning"]
    noted = (pl.col("dropped") != "") | (pl.col("warning") != "")
    told = splits.filter((pl.col("split") == "test") | noted)
    rows = [
        [
            plain(row["dataset"]),
            row["split"],
            str(row["rows"]),
            str(row["used"]),
            plain(row["dropped"]) or "–",
            "–" if row["largest_share"] is None else f"{row['largest_share']:.2f}",
            plain(row["warning"]) or "–",
        ]
        for row in told.sort("dataset", "split").iter_rows(named=True)
    ]
    return [*bullets(lines), csv_table([translate(head) for head in heads], rows)]


def _source(model: str, source: Mapping, pocket: int, translate: Translate) -> str:
    name = literal(model)
    if source["kind"] == "hub":
        return translate("Model {model} from {repository} on the Hub.").format(
            model=name, repository=literal(source["repository"])
        )
    if source["kind"] == "folder":
        return translate("Model {model} from the folder {path}.").format(
            model=name, path=literal(source["path"])
        )
    return translate(
        "Model {model}, pre-trained here (world seed {seed}, version {version})."
    ).format(model=name, seed=source["world_seed"], version=pocket)


def _seeds(resolved: Mapping, translate: Translate) -> str:
    study = resolved["study"]
    training = sorted({seed for group in study["finetune"].values() for seed in group["seeds"]})
    return translate(
        "Seeds: data {data}, shots {shots}, training {training}, resampling {resampling}."
    ).format(
        data=study["data"]["seed"],
        shots=study["evaluate"]["shots_seed"],
        training=", ".join(map(str, training)) or "–",
        resampling=study["bootstrap"]["seed"],
    )


def _programs() -> str:
    """Versions of Python and of the installed packages of ``PACKAGES``."""
    found = {"python": python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return ", ".join(f"{name} {number}" for name, number in found.items())
