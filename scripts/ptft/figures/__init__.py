"""Figures: what each is drawn from and where it is drawn, related ones in one module.

To add a figure, write a function ``draw_NAME`` in one of the modules, and its entry in ``FIGURES``.
It is not called where its first table is empty, and returns None where no row is left to draw.
Importing this package is cheap: ``ptft.figures.drawing``, which draws them, imports matplotlib.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class FigureSpec:
    """Facts of a figure that the workflow needs."""

    module: str
    """Module of this package whose function ``draw_NAME`` draws it."""
    tables: tuple[str, ...]
    """Tables (of ``ptft.analysis.tables``, or `cells`) that all its numbers are from."""
    title: str
    needs: str | None = None
    """Contents that a study must have for this figure:

    `formats`: several per dataset; `methods`: some to compare with full fine-tuning; `snapshots`:
    models on the way of a training; `texts`: generic text.
    """


FIGURES: dict[str, FigureSpec] = {
    "base_scores": FigureSpec(
        "pretraining", ("base_scores", "claims", "suspicious"), "Base scores over pre-training"
    ),
    "base_vs_tuned": FigureSpec(
        "gains", ("gains", "claims", "suspicious"), "Base and tuned scores"
    ),
    "gain_by_group": FigureSpec(
        "gains", ("group_gains",), "Gain of learned and not learned datasets"
    ),
    "formats": FigureSpec(
        "formats", ("formats", "claims", "suspicious"), "Scores by prompt format", "formats"
    ),
    "forgetting": FigureSpec(
        "forgetting", ("forgetting", "base_scores", "claims"), "Change on other families"
    ),
    "tradeoff": FigureSpec("remedies", ("tradeoff",), "What is gained against what is kept"),
    "remedies": FigureSpec(
        "remedies", ("equal_gain", "claims"), "What each method spares at the same gain", "methods"
    ),
    "along_finetuning": FigureSpec(
        "snapshots", ("along_finetuning",), "Gain and forgetting along fine-tuning", "snapshots"
    ),
    "overtraining": FigureSpec(
        "pretraining", ("along_pretraining", "claims"), "Each setting along pre-training"
    ),
    "cross_evaluation": FigureSpec(
        "forgetting", ("gains", "suspicious"), "Every tuned model on every dataset"
    ),
    "generic_text": FigureSpec(
        "forgetting", ("generic_text", "claims"), "Loss on generic text", "texts"
    ),
}


def figures_of(has: Iterable[str | None]) -> dict[str, FigureSpec]:
    """The figures of a study that has these things (``FigureSpec.needs``)."""
    needed = {None, *has}
    return {name: spec for name, spec in FIGURES.items() if spec.needs in needed}


def drawn_together(figures: Iterable[str]) -> dict[str, list[str]]:
    """Modules, and the figures of each, which one job draws: imports cost more than figures."""
    together: dict[str, list[str]] = {}
    for name in figures:
        together.setdefault(FIGURES[name].module, []).append(name)
    return together
