"""Tables as the findings read them: joint limits and verdicts of table `claims` for single ones.

A finding says what its row's interval shows. So that no study's page claims more than its share of
untrue things, rows that the page judges get the limits that hold for all claims at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.analysis.tables.stopping import share_saved

LIMITS = ("ci_low", "ci_high", "detectable")
ARM = ["method", "setting", "train_task"]
Tables = Mapping[str, pl.DataFrame]


def with_claims(tables: Tables) -> dict[str, pl.DataFrame]:
    """The tables with what table `claims` says of their rows; as they are without it.

    Limits are joint ones; whether something is learned, latent, declines or trends is the claim's
    verdict.
    """
    told = dict(tables)
    claims = tables.get("claims")
    if claims is None or claims.is_empty():
        return told

    def limits(
        name: str, claim: str, on: Sequence[str], prefix: str = "", rows: pl.DataFrame = claims
    ) -> None:
        """Put the claim's limits into the rows of a table that it is about."""
        table = told.get(name)
        if table is not None:
            columns = {f"{prefix}{end}": end for end in LIMITS if f"{prefix}{end}" in table.columns}
            told[name] = _put(table, rows.filter(pl.col("claim") == claim), on, columns)

    of_set = ["checkpoint", *ARM, "dataset"]
    limits("groups", "rise", ["dataset"])
    limits("gains", "gain", of_set)
    limits("latent", "tuned rise", [*ARM, "dataset"], "tuned_rise_")
    limits("formats", "gap", [*of_set, "format"], "gap_")
    means = claims.with_columns(train_task=pl.lit(ALL_TASKS))
    for name, claim, on, prefix in (
        ("forgetting", "headroom", [*ARM, "checkpoint", "direction"], "headroom_"),
        ("group_gains", "mean gain", ["checkpoint", "method", "setting", "group"], ""),
    ):
        limits(name, claim, on, prefix, rows=means)
    limits("generic_text", "text", of_set, "change_")
    limits("generic_text", "base text", ["checkpoint", "dataset"], "since_first_")
    of_method = ["checkpoint", "method", "swept", "derived", "train_task"]
    limits("equal_gain", "spared", of_method, "spared_")
    return _judged(told, claims)


def _put(
    table: pl.DataFrame, rows: pl.DataFrame, on: Sequence[str], columns: Mapping[str, str]
) -> pl.DataFrame:
    """The table with columns of matching ``rows`` in place of its own: column -> its source."""
    sources = [pl.col(of).alias(f"_{to}") for to, of in columns.items()]
    source = rows.select(*on, pl.lit(True).alias("_found"), *sources).unique(on)
    joined = table.join(source, on=list(on), how="left", nulls_equal=True, maintain_order="left")
    found = pl.col("_found").fill_null(False)
    return joined.with_columns(
        pl.when(found).then(f"_{name}").otherwise(name).alias(name) for name in columns
    ).select(table.columns)


def _judged(told: dict[str, pl.DataFrame], claims: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """With the claims' verdicts in place of the rules on single curves."""
    rises = claims.with_columns(rises=pl.col("verdict") == "rises")
    base = rises.filter(pl.col("claim") == "rise")
    if "groups" in told:
        groups = base.with_columns(
            group=pl.when("rises").then(pl.lit("learned")).otherwise(pl.lit("not_learned"))
        )
        told["groups"] = _put(told["groups"], groups, ["dataset"], {"group": "group"})
    if "latent" in told:
        key = [*ARM, "dataset"]
        table = told["latent"].with_columns(more=pl.lit(False))
        parts = (
            (base, ["dataset"], {"base_learned": "rises", "base_rise_ci_low": "ci_low",
                                 "base_rise_ci_high": "ci_high"}),
            (rises.filter(pl.col("claim") == "tuned rise"), key, {"tuned_learned": "rises"}),
            (rises.filter(pl.col("claim") == "excess").with_columns(
                alone=pl.col("verdict") == "only tuned"), key,
             {"latent": "alone", "more": "rises"}),
        )  # fmt: skip
        for rows, on, columns in parts:
            table = _put(table, rows, on, columns)
        told["latent"] = table
    if "base_scores" in told:
        above = claims.filter(pl.col("claim") == "rise above guessing").select(
            "checkpoint", "dataset", down=pl.col("value") - pl.col("ci_low"),
            up=pl.col("ci_high") - pl.col("value"),
        )  # fmt: skip
        scored = told["base_scores"].join(
            above, on=["checkpoint", "dataset"], how="left", maintain_order="left"
        )
        told["base_scores"] = scored.with_columns(
            ci_low=pl.coalesce(pl.col("value") - pl.col("down"), "ci_low").clip(0, 1),
            ci_high=pl.coalesce(pl.col("value") + pl.col("up"), "ci_high").clip(0, 1),
        ).drop("down", "up")
    if "stopping" in told and "gains" in told:
        told["stopping"] = _with_stops(told["stopping"], claims, told["gains"])
    if "overtraining" in told:
        drops = claims.filter(pl.col("claim") == "drop").select(
            *ARM,
            drop_low=pl.col("ci_low").clip(0),
            drop_detectable="detectable",
            p=pl.when(pl.col("value") > 0).then("p").otherwise(1.0),  # of a decline alone
        )
        told["overtraining"] = told["overtraining"].join(
            drops, on=ARM, how="left", nulls_equal=True, maintain_order="left"
        )
    return _adjusted_trends(told, claims.filter(pl.col("claim") == "trend"))


def _with_stops(table: pl.DataFrame, claims: pl.DataFrame, gains: pl.DataFrame) -> pl.DataFrame:
    """With the claims' stops, as safe_checkpoint, safe_index and safe_share_saved.

    Without an earlier one that is the last checkpoint; null where no error is known.
    """
    joined: Any = {"how": "left", "nulls_equal": True, "maintain_order": "left"}
    on = [*ARM, "dataset"]
    stops = claims.filter(claim="stop").select(
        *on,
        known=pl.col("ci_low").is_not_null(),
        stop=pl.when(pl.col("verdict") == "earlier").then("checkpoint"),
    )
    places = gains.select(
        safe_checkpoint="checkpoint", safe_index="index", tokens="tokens"
    ).unique()
    whole = places.select(last_checkpoint="safe_checkpoint", whole="tokens")
    safe = pl.when("known").then(pl.coalesce("stop", "last_checkpoint"))
    return (
        table.join(stops, on=on, **joined)
        .with_columns(safe_checkpoint=safe)
        .join(places, on="safe_checkpoint", **joined)
        .join(whole, on="last_checkpoint", **joined)
        .with_columns(safe_share_saved=share_saved(pl.col("tokens"), pl.col("whole")))
        .drop("known", "stop", "tokens", "whole")
    )


def _adjusted_trends(
    told: dict[str, pl.DataFrame], trends: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """With p-values of slopes that are adjusted for all that the page speaks of."""
    if "gain_trends" in told:
        rows = trends.filter(pl.col("question") == "added")
        on = ["method", "setting", "group"]
        told["gain_trends"] = _put(told["gain_trends"], rows, on, {"slope_p": "p"})
    if "format_trends" in told:
        rows = trends.filter(pl.col("question") == "formats")
        on = ["method", "setting", "dataset", "format"]
        told["format_trends"] = _put(told["format_trends"], rows, on, {"p": "p"})
    if "remedy_trends" in told:
        rows = trends.filter(pl.col("question") == "spared")
        on = ["method", "swept", "derived", "train_task"]
        told["remedy_trends"] = _put(told["remedy_trends"], rows, on, {"slope_p": "p"})
    return told
