"""Analyses: pure functions from scores to tidy tables, one analysis a module.

Importing this package is cheap (no polars): a table's module is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from inspect import getdoc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from ptft.analysis.scores import Scores
    from ptft.analysis.settings import Settings

# Name of the table -> the module of this package that makes it, in its function of the same name.
TABLES: dict[str, str] = {
    "base_scores": "base_scores",
    "groups": "groups",
    "gains": "gains",
    "latent": "latent",
    "group_gains": "group_gains",
    "gain_trends": "gain_trends",
    "paper_groups": "paper_groups",
    "forgetting": "forgetting",
    "formats": "formats",
    "format_trends": "format_trends",
    "stopping": "stopping",
    "stopping_prediction": "stopping_prediction",
    "transitions": "transitions",
    "suspicious": "suspicious",
    "domains": "domains",
    "cross_evaluation": "cross_evaluation",
    "tradeoff": "tradeoff",
    "equal_gain": "equal_gain",
    "remedy_trends": "remedy_trends",
    "overtraining": "overtraining",
    "along_pretraining": "along_pretraining",
    "noise_sensitivity": "noise_sensitivity",
    "predictors": "predictors",
    "generic_text": "generic_text",
}

# Tables of single examples' results, which released scores lack.
BY_EXAMPLE = {"transitions"}

# Tables that compare arms: all settings and derived arms belong to what they say.
COMPARING = {
    "suspicious",
    "tradeoff",
    "equal_gain",
    "remedy_trends",
    "overtraining",
    "along_pretraining",
    "noise_sensitivity",
    "predictors",
}


def about_table(name: str) -> str:
    """A table's content, computation and source: its function's docstring."""
    function = getattr(import_module(f"ptft.analysis.tables.{TABLES[name]}"), name)
    return getdoc(function) or ""


def make_table(name: str, scores: Scores, settings: Settings) -> pl.DataFrame:
    """Make one table of ``TABLES``.

    Raises:
        ValueError: there is no such table.
    """
    if name not in TABLES:
        raise ValueError(f"no table named {name!r}; there are {', '.join(sorted(TABLES))}")
    return getattr(import_module(f"ptft.analysis.tables.{TABLES[name]}"), name)(scores, settings)
