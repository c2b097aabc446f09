"""The pocket corpus as tokens: made by the first part of pre-training, kept for those after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from ptft.pocket.tokenizer import fast_tokenizer, train_tokenizer


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
        kept = torch.load(state, weights_only=True) if state else {}
        if "tokenizer" not in kept:  # there is no earlier part, or it kept none
            return cls.of(corpus.read_text(encoding="utf-8").splitlines(), vocab_size)
        ends = kept["lengths"].cumsum(0)[:-1].numpy()
        documents = np.split(kept["tokens"].to(torch.int64).numpy(), ends)
        return cls(fast_tokenizer(Tokenizer.from_str(kept["tokenizer"])), documents)

    def state(self) -> dict[str, Any]:
        """What ``read`` reads again."""
        tokens = torch.from_numpy(np.concatenate(self.documents))
        small = torch.int16 if len(self.tokenizer) < 2**15 else torch.int32
        return {
            "tokenizer": self.tokenizer.backend_tokenizer.to_str(),
            "tokens": tokens.to(small),
            "lengths": torch.tensor([len(document) for document in self.documents]),
        }
