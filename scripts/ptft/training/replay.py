"""Replay: examples of another dataset, learned beside those of the task.

The examples of the task stay as they are without replay: as many in each update, in their order.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ptft.training.batches import examples_before, shuffled
from ptft.training.examples import Example, completion_examples, text_examples, truncate
from ptft.training.methods.instruct import Instruct

REPLAYED = 1
"""Marks the random stream of the replayed examples; that of the task has no mark."""


@dataclass(frozen=True)
class Replayed:
    """What is replayed, and how much of it.

    With a share r, n examples of the task come with n r / (1 - r) others, so that r of all
    examples are replayed. Rounding is of the sum since the first update, so the share of a whole
    run is off by less than one example. Each pass over the replayed set is in an order of its own.

    Raises:
        ValueError: there is nothing to replay.
    """

    examples: Sequence[Example]
    share: float
    seed: int

    def __post_init__(self) -> None:
        if not self.examples:
            raise ValueError("replay: the dataset has no examples")

    def batch(self, step: int, count: int, batch_size: int) -> list[Example]:
        """What is added to update ``step`` (from 0) of a task of ``count`` examples."""
        first, end = (
            self._replayed_before(examples_before(count, batch_size, each))
            for each in (step, step + 1)
        )
        return [self._drawn(place) for place in range(first, end)]

    def _replayed_before(self, examples: int) -> int:
        return math.floor(examples * self.share / (1 - self.share) + 0.5)

    def _drawn(self, place: int) -> Example:
        epoch, within = divmod(place, len(self.examples))
        order = shuffled(len(self.examples), self.seed, epoch, REPLAYED)
        return self.examples[order[within]]


def replay_examples(
    tokenizer, rows: Sequence[Mapping], template: str | None, max_length: int
) -> list[Example]:
    """Prepared rows of any kind as examples: text as text, chats as chats, others as completions.

    Args:
        template: of completions; of conversations TULU's where there is none.
        max_length: tokens of an example at most.

    Raises:
        ValueError: as :func:`ptft.training.examples.truncate`, or rows without a template.
    """
    if "text" in rows[0]:
        made = text_examples(tokenizer, rows, max_length)
    elif "messages" in rows[0]:
        made = Instruct().examples(tokenizer, rows, template, max_length)
    elif template:
        made = completion_examples(tokenizer, rows, template, max_length)
    else:
        raise ValueError("replay_template: these rows need one, found none")
    kept, _ = truncate(made, max_length)
    # Weights and messages go by id, which the task's examples could have, too.
    return [replace(item, example_id=f"replayed {item.example_id}") for item in kept]
