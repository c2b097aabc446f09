"""The pocket model's tokenizer: byte-level BPE in which a word of the world is one token.

The corpus never holds the words of the task prompts, yet the prompts must be short and the labels
must begin with different tokens. So the prompts' own words are added to the text from which the
*tokenizer* is trained. The model does not see that text: to it, these tokens are blank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD = "<|padding|>"
END = "<|endoftext|>"

# The formats and labels that tasks are asked in (config/families), as the prompts spell them.
PROMPT_LINES = (
    "### Input: \n ### Summary: \n\n### Input: \n ### Answer: \n ### Question: ",
    "### Input_1: \n ### Input_2: \n ### Inference: \n\n### Input_1: ",
    "### Input_1: \n ### Input_2: \n ### Paraphrase Classification: ",
    "Please read the following text: Provide a summary:",
    "Given the context: And the answer: Generate a suitable question:",
    "Consider the following texts: Text 1: Text 2: The relation is",
    "Let's compare the two sentences: Sentence_1: Sentence_2: Are they paraphrasing?:",
)
LABELS = ("entailment", "neutral", "contradiction", "yes", "no")
# How often the prompt words are repeated beside the corpus, so that none stays in pieces.
REPEATS = 3000


def tokenizer_text(documents: Iterable[str]) -> Iterator[str]:
    """The text the tokenizer is trained on: the documents, then the prompts' words."""
    yield from documents
    labels = " ".join(LABELS)
    for _ in range(REPEATS):
        yield from PROMPT_LINES
        yield from LABELS  # at the start of a text, and after a space:
        yield f" {labels}"


def train_tokenizer(documents: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab_size` tokens; `PAD` is token 0, `END` token 1.

    Raises:
        ValueError: a label is not one token, or two labels begin with the same token.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(tokenizer_text(documents), trainer)
    for space in ("", " "):
        for label in LABELS:
            if len(tokenizer.encode(space + label).ids) != 1:
                raise ValueError(
                    f"the label {space + label!r} is not one token of the pocket tokenizer: "
                    f"its vocabulary of {vocab_size} is too small, raise vocab_size"
                )
    return fast_tokenizer(tokenizer)


def fast_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """A trained tokenizer as transformers uses it."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        clean_up_tokenization_spaces=False,
    )


@dataclass(frozen=True)
class EncodedCorpus:
    """Documents as tokens, each closed by the end token, and the tokenizer trained on them."""

    tokenizer: PreTrainedTokenizerFast
    documents: list[np.ndarray]
    """of int64"""

    @classmethod
    def of(cls, texts: list[str], vocab_size: int) -> EncodedCorpus:
        """Train a tokenizer on the texts of documents, and encode them."""
        tokenizer = train_tokenizer(texts, vocab_size)
        end = tokenizer.eos_token_id
        found = tokenizer(texts, return_attention_mask=False)["input_ids"]
        return cls(tokenizer, [np.array([*tokens, end], dtype=np.int64) for tokens in found])

    @classmethod
    def read(cls, corpus: Path, vocab_size: int, state: Path | None = None) -> EncodedCorpus:
        """From the state of an earlier part of the same run, else from the text, a document a line.

        Half of the time of a short part is spent on the text.
        """
        if state is None:
            return cls.of(corpus.read_text(encoding="utf-8").splitlines(), vocab_size)
        kept = torch.load(state, weights_only=True)
        ends = kept["lengths"].cumsum(0)[:-1].numpy()
        documents = np.split(kept["tokens"].to(torch.int64).numpy(), ends)
        return cls(fast_tokenizer(Tokenizer.from_str(kept["tokenizer"])), documents)

    def state(self) -> dict[str, Any]:
        """A file that ``read`` reads again."""
        tokens = torch.from_numpy(np.concatenate(self.documents))
        small = torch.int16 if len(self.tokenizer) < 2**15 else torch.int32
        return {
            "tokenizer": self.tokenizer.backend_tokenizer.to_str(),
            "tokens": tokens.to(small),
            "lengths": torch.tensor([len(document) for document in self.documents]),
        }
