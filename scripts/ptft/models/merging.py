"""Weights merged from several models: soups, averages of checkpoints, task vectors.

The models are siblings: folders beside that of the parent, named by their arms or checkpoints.
Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ptft.models.derive import DERIVATIONS, Derivation, Parent, Snapshot, stream
from ptft.models.snapshots import SNAPSHOT

if TYPE_CHECKING:
    import torch

    from ptft.models.derive import Weights

AVERAGE = "checkpoint_average"
"""the derivation that is of checkpoints, not of tuned models"""


def averaged(checkpoints: Sequence[str], checkpoint: str, last: int) -> Sequence[str]:
    """The last so many checkpoints up to one, with it; none where there are fewer."""
    end = checkpoints.index(checkpoint) + 1
    return checkpoints[end - last : end] if end >= last else ()


class Merge(Derivation):
    """A derivation from several models.

    Args:
        members: names of the models beside the parent's.
        density: share of each task vector's entries that is kept, where entries are dropped.
    """

    strengths = "a number above 0"

    def __init__(self, members: Sequence[str] = (), density: float = 1.0) -> None:
        self.members, self.density = tuple(members), density

    def takes(self, strength: float) -> bool:
        """Whether it is above 0."""
        return strength > 0

    def others(self, parent: Parent, strength: float) -> Mapping[str, Parent]:
        """The models beside the parent's, tuned from the same checkpoint."""
        folders = {name: parent.folder.with_name(name) for name in self.members}
        return {name: Parent(folder, parent.checkpoint) for name, folder in folders.items()}


class Soup(Merge):
    """Mean of the weights of a training's seeds, or of its snapshots and its end.

    Wortsman et al. 2022 (arXiv 2203.05482). The strength is the number of models.
    """

    of_base = False

    def weights(self, parent: Parent, strength: float, seed: int) -> Weights:
        """In float32."""
        return mean([parent, *self.others(parent, strength).values()])


class CheckpointAverage(Merge):
    """Mean of the weights of the last checkpoints, which stands in for a decayed learning rate.

    arXiv 2507.17634. The strength is the number of checkpoints; ``members`` are all of the study.
    """

    def others(self, parent: Parent, strength: float) -> Mapping[str, Parent]:
        """The checkpoints that are averaged with this one; none where too few are before it."""
        names = averaged(self.members, parent.folder.name, int(strength))
        folders = {name: parent.folder.with_name(name) for name in names[:-1]}
        return {name: Parent(folder, folder) for name, folder in folders.items()}

    def weights(self, parent: Parent, strength: float, seed: int) -> Weights:
        """In float32."""
        return mean([parent, *self.others(parent, strength).values()])


class TaskVectors(Merge):
    """Checkpoint + scale x the sum of what fine-tuning on several tasks changed.

    Ilharco et al. 2023 (arXiv 2212.04089). The strength is the scale.
    """

    of_base = False

    def others(self, parent: Parent, strength: float) -> Mapping[str, Parent]:
        """The models of the other tasks, and the checkpoint."""
        start = Parent(parent.checkpoint, parent.checkpoint)
        return {**super().others(parent, strength), "checkpoint": start}

    def weights(self, parent: Parent, strength: float, seed: int) -> Weights:
        """In float32."""
        models = [parent, *super().others(parent, strength).values()]
        start, found = parent.start, [model.weights for model in models]
        return {
            name: weight + strength * self.merged([own[name] - weight for own in found], name, seed)
            for name, weight in start.items()
        }

    def merged(self, changes: list[torch.Tensor], name: str, seed: int) -> torch.Tensor:
        """One change of a weight, by those of all tasks."""
        return sum(changes[1:], changes[0])


class Ties(TaskVectors):
    """As task vectors, of which the largest entries are kept, where they agree on a sign.

    Yadav et al. 2023 (arXiv 2306.01708), a matrix at a time, as peft computes it.
    """

    def merged(self, changes: list[torch.Tensor], name: str, seed: int) -> torch.Tensor:
        """The mean of those kept that have the sign of the sum."""
        import torch
        from peft.utils.merge_utils import ties

        return ties(changes, torch.ones(len(changes)), self.density)


class Dare(TaskVectors):
    """As task vectors, of which a random part is kept and scaled up.

    Yu et al. 2024 (arXiv 2311.03099), as peft computes it; what is kept follows from name and seed.
    """

    def merged(self, changes: list[torch.Tensor], name: str, seed: int) -> torch.Tensor:
        """The sum of what is kept, over its density."""
        import torch
        from peft.utils.merge_utils import dare_linear

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(name, seed))
            return dare_linear(changes, torch.ones(len(changes)), self.density)


def mean(models: Sequence[Parent]) -> Weights:
    """Mean of models' weights: their sum, in this order, over their number."""
    every = [model.weights for model in models]
    return {name: sum(own[name] for own in every) / len(every) for name in every[0]}


MERGES: Mapping[str, type[Merge]] = {
    "soup": Soup,
    AVERAGE: CheckpointAverage,
    "task_vectors": TaskVectors,
    "ties": Ties,
    "dare": Dare,
}


def get_derivation(name: str, **merge: Any) -> Derivation:
    """The derivation of a name.

    Args:
        name: of the derivation.
        merge: what else decides the weights, of one from several models (:class:`Merge`).

    Raises:
        ValueError: there is no such derivation.
    """
    known = {**DERIVATIONS, SNAPSHOT: Snapshot, **MERGES}
    if name not in known:
        raise ValueError(f"derivation: found {name!r}, expected one of {sorted(known)}")
    return known[name](**merge)
