"""The interface of a fine-tuning method, with the defaults that most methods keep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ptft.training.settings import TrainingSettings

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ptft.training.examples import Example


class Method:
    """What a method may decide: its settings, what is learned, what is trained, what is saved."""

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
            dtype: that the model is evaluated in.
            weights: the model's weights by name, where they are sharded over devices.
        """
        from ptft.models.loading import save_model

        save_model(model, folder, dtype, weights)
