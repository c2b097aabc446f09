"""The arms that one evaluation scores: the model itself, and those derived from its weights."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ptft.evaluation.cell_key import cell_key
from ptft.evaluation.published import write_published
from ptft.evaluation.requests import CellRequest, DerivedPlan
from ptft.evaluation.store import publish
from ptft.inference.engine import Engine
from ptft.inference.model import Target
from ptft.models.derive import get_derivation
from ptft.models.derive.base import Parent
from ptft.models.folder import hash_model
from ptft.paths import stored_cell

log = logging.getLogger("evaluate_model")


@dataclass(frozen=True)
class ScoredArm:
    """The cells that are asked of an arm, each under its key.

    Attributes:
        output: folder of its cells.
        record: of its published cells.
        keys: of its cells in the store.
        store: finished cells by key.
        base: checkpoint that its predictions on text are compared with; None for itself.
        derived: how its weights are derived; None for the model as it is.
    """

    output: Path
    record: Path
    keys: dict[CellRequest, str]
    store: Path
    base: Path | None = None
    derived: DerivedPlan | None = None

    @property
    def missing(self) -> dict[CellRequest, Path]:
        """Cells that the store lacks, and where they go."""
        files = {cell: self._stored(cell) for cell in self.keys}
        return {cell: file for cell, file in files.items() if not file.exists()}

    def publish(self) -> None:
        """Put all cells where people find them, then the record."""
        for cell in self.keys:
            publish(self._stored(cell), self.output / cell.file)
        write_published({cell.file: key for cell, key in self.keys.items()}, self.record)

    def _stored(self, cell: CellRequest) -> Path:
        return Path(stored_cell(self.store, self.keys[cell]))


def keys_of(
    cells: list[CellRequest],
    model_hash: str,
    data: Path,
    version: int,
    target: Target,
    base_hash: str | None = None,
) -> dict[CellRequest, str]:
    """Cell -> its key, of one model; arguments as of ``cell_key``."""
    return {cell: cell_key(cell, model_hash, data, version, target, base_hash) for cell in cells}


def derived_hash(model_hash: str, spec: DerivedPlan, parent: Parent) -> str:
    """Hash of all that decides derived weights, for a cell's key."""
    parts: dict[str, object] = {"model": model_hash, **spec}
    if get_derivation(spec["derivation"]).from_start:
        parts["checkpoint"] = hash_model(parent.checkpoint)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def derived_engine(engine: Engine, spec: DerivedPlan, parent: Parent) -> Engine:
    """The same model with derived weights in place of its own, which are read from files again.

    What an engine keeps of a model's prompts is of its weights, so it is another engine.
    """
    derivation = get_derivation(spec["derivation"])
    log.info("derive weights: %s", spec)
    weights = derivation.weights(parent, spec["strength"], spec["seed"])
    put_weights(engine.loaded.model, weights)
    return Engine(engine.loaded, engine.budget, make_steps=engine.make_steps)


def put_weights(model: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Overwrite all weights of a model, each rounded once to the model's precision.

    Raises:
        ValueError: the names are not those of the model's weights.
    """
    own = dict(model.named_parameters())
    if unlike := sorted(own.keys() ^ weights.keys()):
        raise ValueError(f"derived weights are not those of the model: {unlike[:5]}")
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(weight)
