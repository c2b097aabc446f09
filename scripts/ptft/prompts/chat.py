"""Conversations to token ids, with a mask on what the assistant says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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


@dataclass(frozen=True)
class Chat:
    """One conversation of n tokens.

    Attributes:
        ids: (n,) int64 token ids.
        loss_mask: (n,) bool, True for the tokens of the assistant's turns (EOS included).
        truncated: it was longer than allowed.
    """

    example_id: str
    ids: np.ndarray
    loss_mask: np.ndarray
    truncated: bool


def encode_chats(
    tokenizer, rows: Sequence[Mapping], template: str | None, max_length: int
) -> Iterator[Chat]:
    """Encode the ``messages`` of rows, cut to ``max_length`` tokens.

    They are encoded piece by piece, since the paper's mixture has 326,154.

    Args:
        template: chat template in Jinja whose ``{% generation %}`` block marks the assistant's
            part; None stands for TÜLU's.

    Raises:
        ValueError: the template marks nothing, or a row is no conversation.
    """
    template = template or TULU_TEMPLATE
    if "generation" not in template:
        raise ValueError("template: found no {% generation %} block around what is learned")
    for row in rows:
        _check_conversation(row)
    for piece in _batched(rows, PIECE):
        encoded = tokenizer.apply_chat_template(
            [row["messages"] for row in piece],
            chat_template=template,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        pairs = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
        for row, (ids, mask) in zip(piece, pairs, strict=True):
            loss_mask = np.array(mask[:max_length], dtype=bool)
            loss_mask[:1] = False  # nothing predicts the first token
            kept = np.array(ids[:max_length], dtype=np.int64)
            yield Chat(row["example_id"], kept, loss_mask, len(ids) > max_length)


def _batched(rows: Sequence, size: int) -> Iterator[Sequence]:
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
