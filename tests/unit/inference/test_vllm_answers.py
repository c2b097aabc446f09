"""vLLM's answers, without vLLM: a stand-in stops as it does, at any stop string."""

import sys
from types import SimpleNamespace

import pytest
from tiny_models import tiny_olmo, tiny_tokenizer

from ptft.inference.vllm_engine import VllmEngine
from ptft.models.loading import wrap_model
from ptft.prompts.encoding import Prompt

CONTEXT = [5, 6, 7]


class StandIn:
    """Says given tokens behind a context, up to a stop string, an end token or the length."""

    def __init__(self, tokenizer, said):
        self.tokenizer, self.said, self.calls = tokenizer, said, 0

    def generate(self, rows, options, use_tqdm):
        self.calls += 1
        for row, option in zip(rows, options, strict=True):
            done = row["prompt_token_ids"][len(CONTEXT) :]
            assert self.said[: len(done)] == done  # it goes on where it was
            ids, reason = [], "length"
            for token in self.said[len(done) : len(done) + option.max_tokens]:
                ids.append(token)
                text = self.tokenizer.decode(ids)
                if token in option.stop_token_ids or any(end in text for end in option.stop):
                    reason = "stop"
                    break
            found = SimpleNamespace(token_ids=ids, finish_reason=reason, cumulative_logprob=-1.0)
            yield SimpleNamespace(outputs=[found])


@pytest.mark.parametrize(
    ("words", "most", "text", "ended", "calls"),
    [
        (["\n", "\n", " ba", " be", "\n", " bi"], 40, "ba be", "stop", 3),
        (["\n", " ba", "<|endoftext|>"], 40, "ba", "end", 2),
        (["\n", " ba", " be"], 2, "ba", "length", 2),
        (["\n"] * 4, 4, "", "length", 4),
        ([" ba", "\n"], 40, "ba", "stop", 1),
    ],
)
def test_an_answer_goes_on_behind_its_line_breaks(monkeypatch, words, most, text, ended, calls):
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=SimpleNamespace))
    tokenizer = tiny_tokenizer()
    engine = VllmEngine.__new__(VllmEngine)
    engine.loaded = wrap_model(tiny_olmo(len(tokenizer)), tokenizer)
    said = [token for word in words for token in tokenizer(word)["input_ids"]]
    engine._llm = StandIn(tokenizer, said)
    asked = Prompt(CONTEXT, [], 0, False)
    count = min(most, len(said)) if ended == "length" else most
    told = []
    one, other = engine.generate([asked, asked], count, ["\n"], told.append)
    assert one == other and (one.text, one.ended) == (text, ended)
    assert engine._llm.calls == calls and sum(told) == 2
