"""Instruction tuning: full fine-tuning on conversations, the assistant's turns alone learned."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ptft.training.methods.base import Method

if TYPE_CHECKING:
    from ptft.training.examples import Example


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
