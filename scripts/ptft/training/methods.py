"""Fine-tuning methods: what is learned, which weights are trained, what is saved.

A method is one class here and one entry of ``_METHODS``. Importing this module imports no torch:
the study's schema reads the settings only, and methods import what they need when they are used.
"""

import contextlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ptft.training.settings import TrainingSettings, require

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig
    from torch import nn

    from ptft.training.examples import Example


class Method:
    """Choices of a method: its settings, what is learned, what is trained, what is saved."""

    Settings: ClassVar[type[TrainingSettings]] = TrainingSettings

    def examples(
        self, tokenizer, rows: Sequence[Mapping], template: str | None, max_length: int
    ) -> "list[Example]":
        """Turn prepared rows into tokens; here, completions of a template are learned.

        Args:
            max_length: tokens of an example that are kept; a method may shorten what is longer
                in its own way, and what still is gets cut at its end.
        """
        from ptft.training.examples import completion_examples

        if not template:
            raise ValueError("template: this method needs one, found none")
        return completion_examples(tokenizer, rows, template, max_length)

    def prepare(self, model: "nn.Module", settings: TrainingSettings) -> "nn.Module":
        """The model to train, its trainable parameters marked by ``requires_grad``."""
        return model

    def lighten(self, model: "nn.Module", dtype: "torch.dtype") -> None:
        """Keep in the forward pass's precision what is not trained, where that changes no result.

        Args:
            model: as prepared, on the CPU, not yet placed on its devices.
            dtype: that the forward pass works in, below float32.
        """

    def as_base(self, model: "nn.Module") -> contextlib.AbstractContextManager:
        """A context in which the trained model predicts as its checkpoint (``keeps_base``)."""
        raise NotImplementedError

    def saved_dtype(self, evaluated: "torch.dtype") -> "torch.dtype":
        """Precision of the saved weights, for a model that is evaluated in another or the same."""
        return evaluated

    def save(
        self,
        model: "nn.Module",
        folder: Path,
        dtype: "torch.dtype",
        weights: dict | None = None,
    ) -> None:
        """Write the trained weights to a folder that evaluation can load.

        Args:
            model: as prepared, and trained.
            folder: to write to.
            dtype: of the saved weights.
            weights: the model's weights by name, where they are sharded over devices.
        """
        from ptft.models.loading import save_model

        save_model(model, folder, dtype, weights)


class Full(Method):
    """Full fine-tuning: trains every weight, as in the paper.

    The defaults of the interface, nothing else.
    """


class Instruct(Method):
    """Instruction tuning: trains every weight on the assistant's turns of conversations.

    Rows hold ``messages``, each with a ``role`` and a ``content``, instead of fields and gold.

    The template is a chat template in Jinja, whose ``{% generation %}`` block marks what is
    learned; None stands for TÜLU's.
    """

    def examples(
        self, tokenizer, rows: Sequence[Mapping], template: str | None, max_length: int
    ) -> "list[Example]":
        """Turn conversations into tokens, all turns of the assistant (EOS included) learned.

        Raises:
            ValueError: the template marks nothing to learn, or a row is no conversation.
        """
        from ptft.prompts.tokens import encode_chats
        from ptft.training.examples import Example

        chats = encode_chats(tokenizer, rows, template, max_length)
        return [Example(c.example_id, c.ids, c.loss_mask, c.truncated) for c in chats]


@dataclass(frozen=True, kw_only=True)
class AdapterSettings(TrainingSettings):
    """Settings of every adapter, in addition to those of every method."""

    adapter: ClassVar[bool] = True
    targets: list[str] = field(default_factory=list)
    """Last parts of the names of the linear layers to adapt; empty: all but the output layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        message = "0 for an adapter, whose weight_decay draws the update of each matrix to 0"
        require(self.l2sp == 0, "l2sp", self.l2sp, message)


class Adapter(Method):
    """Adapters that peft puts beside the linear layers of a frozen checkpoint, and can merge."""

    Settings = AdapterSettings

    def config(self, settings: TrainingSettings) -> "PeftConfig":
        """The adapter, as peft describes it."""
        raise NotImplementedError

    def prepare(self, model: "nn.Module", settings: TrainingSettings) -> "nn.Module":
        """Add the adapters.

        Raises:
            ValueError: a target names no linear layer of the model.
        """
        from peft import get_peft_model

        assert isinstance(settings, AdapterSettings)
        adapted_layers(model, settings.targets)
        config = self.config(settings)
        config.task_type, config.target_modules = "CAUSAL_LM", settings.targets or "all-linear"
        return get_peft_model(model, config)

    def lighten(self, model: "nn.Module", dtype: "torch.dtype") -> None:
        """Keep the frozen matrices that are adapted in the precision they are multiplied in.

        Autocast rounds them to the same values in every pass. Embeddings, norms and the output
        layer stay as they are: what is between the blocks, and validation, is in float32.
        """
        from peft.tuners.tuners_utils import BaseTunerLayer

        base = model.get_base_model()
        whole = {id(base.get_input_embeddings().weight), id(base.get_output_embeddings().weight)}
        for part in model.modules():
            if isinstance(part, BaseTunerLayer) and id(part.base_layer.weight) not in whole:
                part.base_layer.to(dtype)

    def saved_dtype(self, evaluated: "torch.dtype") -> "torch.dtype":
        """Adapters are small, and merged into their base when they are loaded."""
        import torch

        return torch.float32

    def save(
        self,
        model: "nn.Module",
        folder: Path,
        dtype: "torch.dtype",
        weights: dict | None = None,
    ) -> None:
        """Write the adapter alone, in float32; its configuration names its checkpoint."""
        model.save_pretrained(folder, state_dict=weights)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card


@dataclass(frozen=True, kw_only=True)
class LoraSettings(AdapterSettings):
    """Settings of LoRA, in addition to those of every adapter."""

    lr: float = 2e-4
    """Peak learning rate of AdamW; adapters start at zero and tolerate higher rates."""
    rank: int = 16
    """Rank of each adapted matrix's update."""
    alpha: float = 32.0
    """The update is scaled by alpha / rank."""
    rslora: bool = False
    """rsLoRA: the update is scaled by alpha / √rank, so that high ranks learn as low ones do."""
    dora: bool = False
    """DoRA: the update changes directions; the length of each row of a matrix is learned apart."""
    quantize: bool = False
    """QLoRA: the matrices that are adapted are trained beside in 4 bits (NF4), which takes less
    memory; the update is evaluated on the whole ones. Needs bitsandbytes."""

    @property
    def keeps_base(self) -> bool:
        """Updates can be scaled by 0; DoRA's lengths, and rounded matrices, remain."""
        return not (self.dora or self.quantize)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.rank >= 1, "rank", self.rank, "1 or more")
        require(self.alpha > 0, "alpha", self.alpha, "more than 0")
        whole = not self.quantize or self.sharding == "data"
        require(whole, "sharding", self.sharding, "data, because matrices of 4 bits stay whole")


class Lora(Adapter):
    """LoRA: trains low-rank updates of linear layers; the checkpoint is frozen.

    Hu et al. 2021 (arXiv 2106.09685); rsLoRA: Kalajdzievski 2023 (2312.03732); DoRA: Liu et al.
    2024 (2402.09353); QLoRA: Dettmers et al. 2023 (2305.14314).
    """

    Settings = LoraSettings

    def config(self, settings: TrainingSettings) -> "PeftConfig":
        """Of the settings' rank, scale and variants."""
        from peft import LoraConfig

        assert isinstance(settings, LoraSettings)
        return LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            use_rslora=settings.rslora,
            use_dora=settings.dora,
        )

    def prepare(self, model: "nn.Module", settings: TrainingSettings) -> "nn.Module":
        """Add the adapters, for QLoRA to matrices of 4 bits.

        Raises:
            ValueError: as of every adapter, or bitsandbytes does not load.
        """
        assert isinstance(settings, LoraSettings)
        if settings.quantize:
            quantize(model, settings.targets)
        return super().prepare(model, settings)

    def lighten(self, model: "nn.Module", dtype: "torch.dtype") -> None:
        """As of every adapter; not with DoRA, which takes lengths of rows, nor with 4 bits."""
        small = getattr(model.get_base_model(), "is_loaded_in_4bit", False)
        if not (small or model.active_peft_config.use_dora):
            super().lighten(model, dtype)

    def as_base(self, model: "nn.Module") -> contextlib.AbstractContextManager:
        """With updates scaled by 0; which weights are trained stays as it is."""
        from peft.helpers import rescale_adapter_scale

        return rescale_adapter_scale(model, 0)


@dataclass(frozen=True, kw_only=True)
class OftSettings(AdapterSettings):
    """Settings of OFT, in addition to those of every adapter."""

    lr: float = 4e-4
    """Peak learning rate of AdamW; rotations start at the identity and tolerate higher rates."""
    block_size: int = 32
    """Inputs of a layer that are rotated together; it divides the layers' widths."""

    @property
    def rank(self) -> float:
        """Of the LoRA with as many weights on a square matrix: (block_size - 1) / 4."""
        return (self.block_size - 1) / 4

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.block_size >= 2, "block_size", self.block_size, "2 or more")


class Oft(Adapter):
    """OFT: trains rotations of the inputs of linear layers; the checkpoint is frozen.

    Qiu et al. 2023 (arXiv 2306.07280), on inputs: 2025 (2506.19847).
    """

    Settings = OftSettings

    def config(self, settings: TrainingSettings) -> "PeftConfig":
        """Of the settings' blocks."""
        from peft import OFTConfig

        assert isinstance(settings, OftSettings)
        return OFTConfig(oft_block_size=settings.block_size)

    def prepare(self, model: "nn.Module", settings: TrainingSettings) -> "nn.Module":
        """Add the adapters.

        Raises:
            ValueError: as of every adapter, or blocks that do not divide the width of a layer.
        """
        assert isinstance(settings, OftSettings)
        for name, part in adapted_layers(model, settings.targets).items():
            divides = part.in_features % settings.block_size == 0
            found = f"{settings.block_size} for the {part.in_features} inputs of {name}"
            require(divides, "block_size", found, "a divisor, because peft would take another")
        return super().prepare(model, settings)


def adapted_layers(model: "nn.Module", targets: list[str]) -> "dict[str, nn.Linear]":
    """Linear layers by name: those that targets name, or all but the output layer.

    Raises:
        ValueError: a target names no linear layer; the message lists them.
    """
    from torch import nn

    linear = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    known = {name.split(".")[-1] for name in linear}
    if unknown := sorted(set(targets) - known):
        raise ValueError(
            f"targets: {unknown} name no linear layer of this model, which has {sorted(known)}"
        )
    if targets:
        return {name: part for name, part in linear.items() if name.split(".")[-1] in targets}
    head = model.get_output_embeddings()
    return {name: part for name, part in linear.items() if part is not head}


def quantize(model: "nn.Module", targets: list[str]) -> None:
    """Put linear layers, as a method's targets name them, into 4 bits: NF4 by bitsandbytes.

    They are rounded when the model is moved to its device.

    Raises:
        ValueError: bitsandbytes does not load, or a target names no linear layer.
    """
    try:
        from bitsandbytes.nn import Linear4bit, Params4bit
    except Exception as error:  # of any kind, where it does not fit the machine
        raise ValueError(
            f"quantize: bitsandbytes does not load here ({error}); install one that does, or leave "
            "quantize out"
        ) from error
    head = model.get_output_embeddings()
    for name, part in adapted_layers(model, targets).items():
        if part is head:
            continue
        small = Linear4bit(part.in_features, part.out_features, device="meta")
        small.weight = Params4bit(part.weight.data, requires_grad=False, quant_type="nf4")
        small.bias = part.bias
        model.set_submodule(name, small)
    model.is_loaded_in_4bit = True  # which peft reads


_METHODS: dict[str, type[Method]] = {
    "full": Full,
    "lora": Lora,
    "oft": Oft,
    "instruct": Instruct,
}

METHODS: dict[str, type[TrainingSettings]] = {
    name: method.Settings for name, method in _METHODS.items()
}
"""Name of a method to the class of its settings."""


def summary(name: str) -> str:
    """A method in one line."""
    return inspect.getdoc(_METHODS[name]).splitlines()[0]


def get_method(name: str) -> Method:
    """The method of a name.

    Raises:
        ValueError: there is no such method.
    """
    if name not in _METHODS:
        raise ValueError(f"method: found {name!r}, expected one of {sorted(_METHODS)}")
    return _METHODS[name]()
