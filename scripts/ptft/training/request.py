"""What is asked of a fine-tuning job, and what identifies the model that it makes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from ptft.files.slice_files import check_slice, read_slice
from ptft.models.folder import model_files
from ptft.training.methods import METHODS
from ptft.training.settings import TrainingSettings, plain_settings
from ptft.versions import TRAINING_VERSION


class Slice(TypedDict):
    """What is given of the study (``Grid.finetune_slice``)."""

    __pydantic_config__ = {"extra": "forbid"}

    training_version: NotRequired[int]
    method: Literal[tuple(METHODS)]
    seed: int
    template: NotRequired[str | None]
    replay_template: NotRequired[str | None]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What is asked for: which method, with which settings, from where to where."""

    method: str
    seed: int
    template: str | None
    settings: TrainingSettings
    checkpoint: Path
    train: Path
    state: Path
    output: Path
    replay: Path | None = None
    """what is replayed, where ``settings`` ask for it"""
    replay_template: str | None = None

    @property
    def files(self) -> list[Path]:
        """Every file that decides the weights."""
        replay = [self.replay] if self.replay else []
        return [*model_files(self.checkpoint), self.train, *replay]

    def identity(self) -> dict[str, Any]:
        """All else that decides the weights, as plain data."""
        return {
            "training_version": TRAINING_VERSION,
            "method": self.method,
            "seed": self.seed,
            "template": self.template,
            **({"replay_template": self.replay_template} if self.replay else {}),
            "settings": plain_settings(self.settings),
        }


def read_request(given: Path, **paths: Path | None) -> Request:
    """A request from a slice of the study in a file, and the paths of the command line.

    Raises:
        ValueError: an unknown method, key or value; the message names file and line. Or something
            to replay without a file, or a file without that.
    """
    found = read_slice(given, Slice)
    settings = check_slice(given, METHODS[found["method"]], ("settings",), found["settings"])
    version = found.get("training_version", TRAINING_VERSION)
    if version != TRAINING_VERSION:
        raise ValueError(f"training_version: found {version}, this code is {TRAINING_VERSION}")
    if (settings.replay is None) != (paths.get("replay") is None):
        raise ValueError(
            "--train: a second file, and settings.replay, are given together or not at all"
        )
    return Request(
        method=found["method"],
        seed=found["seed"],
        template=found.get("template"),
        replay_template=found.get("replay_template"),
        settings=settings,
        **paths,
    )
