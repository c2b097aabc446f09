"""Instruction tuning: full fine-tuning on conversations, the assistant's turns alone learned."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ptft.training.methods.base import Method

if TYPE_CHECKING:
    from ptft.training.examples import Example

TULU_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] | trim + eos_token }}{% endgeneration %}"
    "{% else %}{{ message['content'] | trim }}{% endif %}{{ '\n' }}{% endfor %}"
)
"""The format of the TÜLU-v2 mixture, which the paper tunes on, with the assistant's part marked."""

PIECE = 200
"""Conversations encoded at a time: Python's lists of tokens take 165 bytes a token, arrays 9."""
ROLES = ("system", "user", "assistant")


class Instruct(Method):
    """Instruction tuning: every weight is trained, on the assistant's turns of conversations.

    Rows hold ``messages``, each with a ``role`` and a ``content``, instead of fields and gold.

    The template is a chat template in Jinja, whose ``{% generation %}`` block marks what is
    learned; None stands for TÜLU's.
    """

    def examples(
        self, tokenizer, rows: Sequence[Mapping], template: str | None, max_length: int
    ) -> "list[Example]":
        """Turn conversations into tokens, all turns of the assistant (EOS included) learned.

        They are cut to ``max_length`` piece by piece, since the paper's mixture has 326,154.

        Raises:
            ValueError: the template marks nothing to learn, or a row is no conversation.
        """
        import numpy as np

        from ptft.training.examples import Example

        template = template or TULU_TEMPLATE
        if "generation" not in template:
            raise ValueError("template: found no {% generation %} block around what is learned")
        for row in rows:
            _check_conversation(row)
        examples: list[Example] = []
        for piece in batched(rows, PIECE):
            encoded = tokenizer.apply_chat_template(
                [row["messages"] for row in piece],
                chat_template=template,
                tokenize=True,
                return_dict=True,
                return_assistant_tokens_mask=True,
            )
            pairs = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
            for row, (ids, mask) in zip(piece, pairs, strict=True):
                learned = np.array(mask[:max_length], dtype=bool)
                learned[:1] = False
                kept = np.array(ids[:max_length], dtype=np.int64)
                examples.append(Example(row["example_id"], kept, learned, len(ids) > max_length))
        return examples


def batched(rows: Sequence, size: int) -> Iterator[Sequence]:
    """Pieces of at most ``size`` rows."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _check_conversation(row: Mapping) -> None:
    messages = row.get("messages")
    if not messages:
        raise ValueError(
            f"row {row.get('example_id')}: instruct needs 'messages', found {sorted(row)}"
        )
    for message in messages:
        if message.get("role") not in ROLES or not isinstance(message.get("content"), str):
            raise ValueError(
                f"row {row['example_id']}: found the message {message!r}, expected a role of "
                f"{ROLES} and a content"
            )
