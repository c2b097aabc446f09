"""The interface of a fine-tuning method, with the defaults that most methods keep."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
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
    keeps_base: ClassVar[bool] = False
    """Whether the checkpoint's weights are still in the trained model (``as_base``)."""

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
        """A context in which the trained model gives the checkpoint's predictions."""
        raise NotImplementedError

    def changes(
        self,
        model: "nn.Module",
        trained: "Mapping[str, torch.Tensor]",
        stored: "Mapping[str, torch.Tensor]",
    ) -> "Iterator[tuple[str, torch.Tensor]]":
        """What training added to each of the checkpoint's weights: its name and a float32 tensor.

        Args:
            model: as prepared, and trained.
            trained: the trained weights by name, whole.
            stored: the checkpoint's weights by name.
        """
        for name, weight in trained.items():
            yield name, weight - stored[name].to(weight.device, weight.dtype)

    def original_names(self, model: "nn.Module") -> list[str]:
        """Names of the model's weights in the checkpoint's files; what is tied has one."""
        return [name for name, _ in model.named_parameters()]

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
