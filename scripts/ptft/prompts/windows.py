"""Windows of a text: which of its tokens are scored behind which. Standard library only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptft.prompts.tokens import encode_text, start_token


@dataclass(frozen=True)
class Window:
    """What the model reads at once, and how much of it is scored there.

    Attributes:
        read: token ids that the model reads.
        scored: token ids that are scored, each behind the read ones up to its own place: the
            first of them comes behind ``read[: len(read) - len(scored) + 1]``.
    """

    read: Sequence[int]
    scored: Sequence[int]


def rolling_windows(ids: Sequence[int], start: int, window: int, stride: int) -> Iterator[Window]:
    """Windows in which each token of a text is scored once.

    As lm-evaluation-harness has them (``lm_eval.utils.get_rolling_token_windows``, whose
    ``context_len`` is window - stride + 1): the first token is scored behind ``start``, the first
    window scores as many tokens as it reads, each later one the next ``stride``, and the last
    what is left, behind as much context as a window holds.

    Args:
        ids: tokens of the text.
        start: token in front of it (``ptft.prompts.tokens.start_token``).
        window: most tokens that the model reads at once.
        stride: tokens that a window adds to those scored, 1 to ``window``.
    """
    whole = [start, *ids]
    done = 0
    while done < len(ids):
        end = min(done + (stride if done else window), len(ids))
        yield Window(whole[max(0, end - window) : end], whole[done + 1 : end + 1])
        done = end


def document_windows(
    tokenizer, texts: Sequence[str], window: int, stride: int, max_length: int
) -> list[list[Window]]:
    """The windows of each text, in tokens of its own: without BOS or EOS but the first's.

    Args:
        max_length: tokens of the model's context.

    Raises:
        ValueError: a window is longer than that.
    """
    if window > max_length:
        raise ValueError(
            f"a window of {window} tokens is longer than the model's context of {max_length}; "
            "lower it in the family's file"
        )
    start = start_token(tokenizer)
    encoded = encode_text(tokenizer, texts)
    return [list(rolling_windows(ids, start, window, stride)) for ids in encoded]
