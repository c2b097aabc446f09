"""Tokens: from a context and its completion to token ids, the same for training and scoring."""

from collections.abc import Sequence


def start_token(tokenizer) -> int:
    """What an empty context consists of: BOS, or else EOS, as in lm-evaluation-harness.

    Raises:
        ValueError: the tokenizer has neither.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return token
    raise ValueError("the tokenizer has no BOS or EOS token for an empty context to begin from")


def encode(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of contexts, with whatever the tokenizer puts in front (BOS or nothing).

    A trailing EOS that some tokenizers add is removed: a context must be open at its end. One
    without any token begins from ``start_token``.

    Raises:
        ValueError: there is an empty context, and nothing to begin it from.
    """
    return [ids or [start_token(tokenizer)] for ids in _encode(tokenizer, texts)]


def _encode(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    ids = tokenizer(list(texts), return_attention_mask=False)["input_ids"]
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
    tokenizer, contexts: Sequence[str], completions: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Token ids of each context and of its completion, cut from the encoding of the whole.

    As lm-evaluation-harness does (``TemplateLM._encode_pair``): the whole text is encoded once
    and cut at the length of the encoded context, so that completions are tokenised as in
    running text. A context without any token begins from ``start_token``.

    Raises:
        ValueError: a completion has no token of its own, or nothing can begin an empty context.
    """
    wholes = _encode(
        tokenizer, [context + end for context, end in zip(contexts, completions, strict=True)]
    )
    heads = _encode(tokenizer, contexts)
    pairs = []
    for whole, head, context, end in zip(wholes, heads, contexts, completions, strict=True):
        if len(whole) <= len(head):
            raise ValueError(f"completion {end!r} adds no token to the context {context[-80:]!r}")
        pairs.append((head or [start_token(tokenizer)], whole[len(head) :]))
    return pairs


def text_before(tokenizer, stop: Sequence[str], ids: Sequence[int]) -> str:
    """The text of generated ids up to the first stop string, stripped."""
    text = tokenizer.decode(ids, skip_special_tokens=True)
    cut = min((at for end in stop if (at := text.find(end)) >= 0), default=len(text))
    return text[:cut].strip()


def first_tokens(tokenizer, label: str) -> tuple[int, int]:
    """First sub-token of a label with and without a leading space (the paper's TokenProb)."""
    spaced, bare = (
        tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in (" " + label, label)
    )
    return spaced, bare


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
