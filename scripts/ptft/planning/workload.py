"""How much work the jobs of a study have, and how fast a CPU core or a GPU does it.

Rows and tokens of the splits are counted once the study's data is prepared and checked, assumed
before. Operations are counted as usual: a weight and token cost two in a forward pass and four more
in a backward pass, two of these where the weight is not trained.
"""

import csv
import dataclasses
import json
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from ptft.models.folder import CONFIG, weights_among
from ptft.paths import POCKET
from ptft.study.grid import Grid
from ptft.study.models import Shape
from ptft.study.slices import split_slice

SMALL_MODEL = 10_000_000
"""weights of a model whose file does not tell"""
ADAPTER_SHARE = 0.02
"""part of the weights that an adapter is, about, at rank 16"""


@dataclass(frozen=True)
class Rates:
    """Speeds of a CPU core or a GPU."""

    start: float
    """seconds until a program has its libraries and its model"""
    training: float
    """operations a second in training"""
    scoring: float
    """operations a second in evaluation, where batches are short"""
    update: float
    """seconds of an update, whatever its tokens"""
    update_weight: float
    """more seconds of an update for each weight that is trained: the optimizer's memory traffic"""
    example: float
    """seconds of a scored example that the model is not in: encoding, metrics"""
    decoding: float
    """seconds of a decoding step, whatever its batch"""
    light: float
    """seconds of a job without a model: data, tables, figures"""
    link: float = math.inf
    """bytes a second that a device gives to another and takes from it"""

    def at(self, speed: float) -> "Rates":
        """Those of a GPU that is so many times as fast in arithmetic.

        What is bound by memory (``update_weight``, ``decoding``) and the link are taken to be as
        many times as fast: of the models in ``runtime.gpus`` the memory bandwidth, relative to an
        H100's, is 0.7 to 1.9 times the arithmetic. The rest is the host's work.
        """
        return dataclasses.replace(
            self,
            training=speed * self.training,
            scoring=speed * self.scoring,
            update_weight=self.update_weight / speed,
            decoding=self.decoding / speed,
            link=speed * self.link,
        )


RATES = {
    "cpu": Rates(
        start=5.0, training=6e10, scoring=6e10, update=4e-3, update_weight=5e-9,
        example=7e-4, decoding=1e-3, light=4.0,
    ),
    "cuda": Rates(
        start=30.0, training=4e14, scoring=2e14, update=2e-2, update_weight=1.8e-11,
        example=7e-4, decoding=8e-3, light=4.0, link=3e11,
    ),
}  # fmt: skip
"""Of a core of an AMD EPYC in float32, measured with the pocket study and the benchmarks; of an
H100 in bfloat16, estimated from its peak rates, not measured. The link is two thirds of NVLink's
450 GB/s; over PCIe it has a tenth of that."""
GRADIENT_BYTES = 4
"""of a weight that is trained: gradients are exchanged in float32"""


def training_seconds(
    rates: Rates,
    weights: int,
    tokens: float,
    updates: float,
    adapter: bool = False,
    gpus: int = 1,
    compared: bool = False,
) -> float:
    """Time of so many updates on so many tokens, those of one of the devices that share the work.

    A model that is compared with its checkpoint (``kl``) takes another forward pass.
    The exchange of gradients is taken to come after the backward pass, which hides a part of it.
    """
    operations = ((4 if adapter else 6) + (2 if compared else 0)) * weights * tokens
    trained = weights * (ADAPTER_SHARE if adapter else 1)
    exchanged = 2 * (gpus - 1) / gpus * GRADIENT_BYTES * trained
    update = rates.update + rates.update_weight * trained + exchanged / rates.link
    return operations / rates.training + updates * update


TOKENS = {
    "classification": 60,
    "multiple_choice": 100,
    "generation": 260,
    "chat": 800,
    "text": 500,
    "harness": 400,
}
"""tokens of an example with its answer: means over the first 150 examples of each shipped dataset
under OLMo's tokenizer; for chat and text the reported lengths of TÜLU's mixture and C4"""
POCKET_TOKENS = 30
"""the same in the pocket world, whose audit counts 7 to 42"""
TRAIN_ROWS = 50_000
TEST_ROWS = {
    "classification": 9000,
    "multiple_choice": 2000,
    "generation": 6000,
    "text": 2000,
    "harness": 1000,
}
"""rows of a split if the study gives no size: about those of the shipped datasets' splits"""


@dataclass(frozen=True)
class ModelSize:
    """How large a model is."""

    weights: int
    shape: Shape | None = None
    """of its parts, where they are known"""


def model_size(grid: Grid) -> ModelSize:
    """The size of a study's model: of a checkpoint that is there, else what its file says."""
    for checkpoint in grid.checkpoints:
        if found := _size_in(Path(grid.checkpoint_folder(checkpoint)).absolute()):
            return found
    return ModelSize(grid.model.weights or SMALL_MODEL, grid.model.shape)


@lru_cache(maxsize=4)
def _size_in(folder: Path) -> ModelSize | None:
    """Of a model's folder, by the headers of its safetensors; None where they can't be read."""
    try:
        names = [path.name for path in folder.iterdir() if path.suffix == ".safetensors"]
        headers = [_header(folder / name) for name in weights_among(names)]
        config = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError):
        return None
    sizes = [math.prod(about["shape"]) for header in headers for about in header.values()]
    parts = {name: config[name] for name in Shape.model_fields if name in config}
    parts.setdefault("num_key_value_heads", config.get("num_attention_heads"))
    parts.setdefault("tie_word_embeddings", True)
    try:
        return ModelSize(sum(sizes), Shape(**parts)) if sizes else None
    except ValueError:
        return ModelSize(sum(sizes))


def _header(file: Path) -> dict[str, dict]:
    """Tensor -> its type and shape (safetensors: a length of 8 bytes, then JSON)."""
    with file.open("rb") as content:
        header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
    header.pop("__metadata__", None)
    return header


@dataclass(frozen=True)
class Size:
    """Size of a prepared split."""

    rows: int
    tokens: float
    """mean of an example with its answer, without shots"""
    counted: bool
    """whether rows and tokens were counted; else one or both are assumed"""
    longest: int | None = None
    """tokens of the longest example, if counted"""


@dataclass(frozen=True)
class Workload:
    """Sizes of the splits of one study."""

    grid: Grid

    @cached_property
    def sizes(self) -> dict[tuple[str, str], Size]:
        """(dataset, split) -> size, for every split that is trained on or scored."""
        return {pair: self._size(*pair) for pair in self.grid.splits() if pair[1] != "shots"}

    @cached_property
    def _audit(self) -> dict[tuple[str, str], dict[str, str]]:
        """(dataset, split) -> its row of the study's audit."""
        file = Path(self.grid.results.table("audit_splits", "csv"))
        if not file.exists():
            return {}
        with file.open(newline="") as lines:
            return {(row["dataset"], row["split"]): row for row in csv.DictReader(lines)}

    def _size(self, dataset: str, split: str) -> Size:
        kind = self.grid.families[self.grid.family(dataset)].kind
        limit = split_slice(self.grid, dataset, split)["limit"]
        kept = self._kept(dataset, split)
        audited = self._audit.get((dataset, split), {})
        tokens, longest = (audited.get(f"tokens_{name}") for name in ("mean", "max"))
        counted = kept is not None and tokens is not None
        if kept is None:
            kept = limit or (TRAIN_ROWS if split == "train" else TEST_ROWS[kind])
        usual = POCKET_TOKENS if self.grid.study.root == POCKET else TOKENS[kind]
        return Size(
            min(kept, limit or kept),
            float(usual if tokens is None else tokens),
            counted,
            None if longest is None else int(longest),
        )

    def _kept(self, dataset: str, split: str) -> int | None:
        """Usable rows of a split, if it is prepared."""
        file = Path(self.grid.results.split_audit(dataset, split))
        return json.loads(file.read_text()).get("kept") if file.exists() else None
