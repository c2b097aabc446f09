"""Tokens: from texts to token ids, the same for training and scoring.

A context and its completion; a document in windows, of which each token is scored once; a
conversation with a mask on what the assistant says.
"""

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


# Contexts and completions ----------------------------------------------------------------------


def start_token(tokenizer) -> int:
    """Token of an empty context: BOS, or else EOS, as in lm-evaluation-harness.

    Raises:
        ValueError: the tokenizer has neither.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return token
    raise ValueError("the tokenizer has no BOS or EOS token for an empty context to begin from")


def encode(tokenizer, texts: Sequence[str], special: bool = True) -> list[list[int]]:
    """Token ids of contexts, with whatever the tokenizer puts in front (BOS or nothing).

    A trailing EOS that some tokenizers add is removed: a context must be open at its end. One
    without any token begins from ``start_token``.

    Raises:
        ValueError: there is an empty context, and nothing to begin it from.
    """
    return [ids or [start_token(tokenizer)] for ids in _encode(tokenizer, texts, special)]


def _encode(tokenizer, texts: Sequence[str], special: bool = True) -> list[list[int]]:
    if not texts:
        return []
    options = {"add_special_tokens": special, "return_attention_mask": False}
    ids = tokenizer(list(texts), **options)["input_ids"]
    eos = tokenizer.eos_token_id
    bos = tokenizer.bos_token_id
    return [row[:-1] if len(row) > 1 and row[-1] == eos and eos != bos else row for row in ids]


def encode_text(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of texts that are scored as they are, without BOS or EOS, as the harness's."""
    if not texts:
        return []
    return tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)[
        "input_ids"
    ]


def encode_pairs(
    tokenizer, contexts: Sequence[str], completions: Sequence[str], special: bool = True
) -> list[tuple[list[int], list[int]]]:
    """Token ids of each context and of its completion, cut from the encoding of the whole.

    As lm-evaluation-harness does (``TemplateLM._encode_pair``): the whole text is encoded once
    and cut at the length of the encoded context, so that completions are tokenised as in
    running text. A context without any token begins from ``start_token``.

    Args:
        special: whether the tokenizer puts its special tokens around, which texts made by a chat
            template hold already.

    Raises:
        ValueError: a completion has no token of its own, or nothing can begin an empty context.
    """
    pairs_of_texts = zip(contexts, completions, strict=True)
    wholes = _encode(tokenizer, [context + end for context, end in pairs_of_texts], special)
    heads = _encode(tokenizer, contexts, special)
    pairs = []
    for whole, head, context, end in zip(wholes, heads, contexts, completions, strict=True):
        if len(whole) <= len(head):
            raise ValueError(f"completion {end!r} adds no token to the context {context[-80:]!r}")
        pairs.append((head or [start_token(tokenizer)], whole[len(head) :]))
    return pairs


def text_before(tokenizer, stop: Sequence[str], ids: Sequence[int]) -> str:
    """The text of generated ids up to the first stop string, stripped.

    White space in front goes first: a model that begins with a line break has not answered yet,
    though the line break is the usual stop string.
    """
    text = tokenizer.decode(ids, skip_special_tokens=True).lstrip()
    cut = min((at for end in stop if (at := text.find(end)) >= 0), default=len(text))
    return text[:cut].strip()


def first_tokens(tokenizer, label: str) -> tuple[int, int]:
    """First sub-token of a label with and without a leading space (the paper's TokenProb).

    Each is that behind a line break, which no tokenizer joins with a word: in front of a text
    that stands alone some (Llama 2's) put a space of their own.
    """

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    before = ids("\n")

    def first(text: str) -> int:
        whole = ids("\n" + text)
        behind = whole[len(before) :] if whole[: len(before)] == before else []
        return (behind or ids(text))[0]

    return first(" " + label), first(label)


def label_tokens(tokenizer, labels: Sequence[str]) -> dict[str, tuple[int, int]]:
    """First sub-tokens (with, without leading space) of every label.

    Raises:
        ValueError: two labels share a first sub-token, so that no score could tell them apart.
    """
    tokens = {label: first_tokens(tokenizer, label) for label in labels}
    owner: dict[int, str] = {}
    for label, ids in tokens.items():
        for token in set(ids):
            if token in owner:
                raise ValueError(
                    f"labels {owner[token]!r} and {label!r} begin with the same sub-token "
                    f"{tokenizer.convert_ids_to_tokens(token)!r} under this tokenizer: "
                    "name the labels by other words"
                )
            owner[token] = label
    return tokens


# Documents in windows -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """Tokens that the model reads at once, and those of them that are scored.

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


# Conversations ------------------------------------------------------------------------------------


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
