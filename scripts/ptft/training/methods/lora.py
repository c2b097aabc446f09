"""Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685), by peft; the adapter is saved alone."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ptft.training.methods.base import Method
from ptft.training.settings import TrainingSettings, require

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class LoraSettings(TrainingSettings):
    """Settings of LoRA, in addition to those of every method."""

    lr: float = 2e-4
    """Peak learning rate of AdamW; adapters start at zero and tolerate higher rates."""
    rank: int = 16
    """Rank of each adapted matrix's update."""
    alpha: float = 32.0
    """The update is scaled by alpha / rank."""
    targets: list[str] = field(default_factory=list)
    """Last parts of the names of the linear layers to adapt; empty: all but the output layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.rank >= 1, "rank", self.rank, "1 or more")
        require(self.alpha > 0, "alpha", self.alpha, "more than 0")
        message = "0 for LoRA, whose weight_decay draws the update of each matrix to 0"
        require(self.l2sp == 0, "l2sp", self.l2sp, message)


class Lora(Method):
    """LoRA: trains low-rank updates of linear layers; the checkpoint is frozen."""

    Settings = LoraSettings
    keeps_base: ClassVar[bool] = True

    def prepare(self, model: "nn.Module", settings: TrainingSettings) -> "nn.Module":
        """Add the adapters.

        Raises:
            ValueError: a target names no linear layer of the model.
        """
        from peft import LoraConfig, get_peft_model

        assert isinstance(settings, LoraSettings)
        check_targets(model, settings.targets)
        return get_peft_model(
            model,
            LoraConfig(
                task_type="CAUSAL_LM",
                r=settings.rank,
                lora_alpha=settings.alpha,
                target_modules=settings.targets or "all-linear",
            ),
        )

    def lighten(self, model: "nn.Module", dtype: "torch.dtype") -> None:
        """Keep the frozen matrices that are adapted in the precision they are multiplied in.

        Autocast rounds them to the same values in every pass. Embeddings, norms and the output
        layer stay as they are: what is between the blocks, and validation, is in float32.
        """
        from peft.tuners.lora import LoraLayer

        base = model.get_base_model()
        whole = {id(base.get_input_embeddings().weight), id(base.get_output_embeddings().weight)}
        for part in model.modules():
            if isinstance(part, LoraLayer) and id(part.base_layer.weight) not in whole:
                part.base_layer.to(dtype)

    def as_base(self, model: "nn.Module") -> contextlib.AbstractContextManager:
        """With updates scaled by 0; which weights are trained stays as it is."""
        from peft.helpers import rescale_adapter_scale

        return rescale_adapter_scale(model, 0)

    def changes(
        self,
        model: "nn.Module",
        trained: "Mapping[str, torch.Tensor]",
        stored: "Mapping[str, torch.Tensor]",
    ) -> "Iterator[tuple[str, torch.Tensor]]":
        """The scaled product of each adapter's two matrices, which is merged into the weight."""
        from peft.tuners.lora import LoraLayer

        for name, part in model.named_modules():
            down, up = (f"{name}.lora_{side}.default.weight" for side in "AB")
            if isinstance(part, LoraLayer) and up in trained:
                yield name, part.scaling["default"] * (trained[up] @ trained[down])

    def original_names(self, model: "nn.Module") -> list[str]:
        """Without what peft puts into names, and without the adapters."""
        return [
            name.removeprefix("base_model.model.").replace(".base_layer.", ".")
            for name, _ in model.named_parameters()
            if ".lora_" not in name
        ]

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


def check_targets(model: "nn.Module", targets: list[str]) -> None:
    """Refuse targets that name no linear layer, and list the layers."""
    from torch import nn

    linear = {
        name.split(".")[-1] for name, part in model.named_modules() if isinstance(part, nn.Linear)
    }
    unknown = sorted(set(targets) - linear)
    if unknown:
        raise ValueError(
            f"targets: {unknown} name no linear layer of this model, which has {sorted(linear)}"
        )
