"""Recorded decoding steps: the default engine's answers, mostly by replays."""

import pytest
import torch
from recorded_work import RecordedWork
from tiny import tiny_model
from tiny_models import sentences, tiny_olmo, tiny_tokenizer

from ptft.inference.budget import Budget
from ptft.inference.cuda_graphs import NotRecorded
from ptft.inference.engine import Engine
from ptft.inference.model import wrap_model
from ptft.inference.recorded_steps import RecordedSteps, record_steps
from ptft.prompts.encoding import Prompt

pytestmark = pytest.mark.slow  # torch
CPU = torch.device("cpu")
NEW = 14
ONE_BATCH = Budget(10**6, 10**9)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def prompts(tokenizer):
    """Behind one beginning; of 3 to 20 words each."""
    shared = "\n\n".join(sentences(3, 12, seed=1)) + "\n\n"
    contexts = tokenizer([shared + text for text in sentences(24, 20, seed=2)])["input_ids"]
    return [Prompt(context, [], shots=0, truncated=False) for context in contexts]


def build(architecture, tokenizer):
    if architecture == "olmo":
        return wrap_model(tiny_olmo(len(tokenizer)), tokenizer)
    changes = {
        "vocab_size": len(tokenizer), "max_position_embeddings": 256, "initializer_range": 0.3,
        "bos_token_id": None, "eos_token_id": 0, "pad_token_id": 1,
    }  # fmt: skip
    return wrap_model(tiny_model(architecture, **changes), tokenizer)


@pytest.fixture(scope="module", params=["olmo", "llama_grouped", "gpt_neox"])
def any_model(request, tokenizer):
    return build(request.param, tokenizer)


@pytest.fixture(scope="module")
def loaded(tokenizer):
    return build("llama_grouped", tokenizer)


def recording(loaded, recorder, budget=ONE_BATCH, share_prefix=True):
    return Engine(loaded, budget, share_prefix, record_steps(CPU, recorder))


@pytest.mark.parametrize("share_prefix", [True, False])
def test_replayed_steps_give_the_default_engines_texts(any_model, prompts, share_prefix):
    recorder, forwards = RecordedWork(), []
    hook = any_model.model.register_forward_hook(lambda *_: forwards.append(1))
    texts = recording(any_model, recorder, share_prefix=share_prefix).generate(prompts, NEW, [])
    hook.remove()
    assert texts == Engine(any_model, ONE_BATCH, share_prefix).generate(prompts, NEW, [])
    assert len(set(texts)) > 10
    # The contexts give the first token, a usual step the second, replays the other twelve.
    assert (recorder.recordings, recorder.replays) == (1, NEW - 2)
    # Beside it Python ran the model for the prefix, if there is one, and to record.
    assert len(forwards) == share_prefix + 3


@pytest.mark.parametrize("share_prefix", [True, False])
def test_rows_leave_at_their_stop_strings(any_model, prompts, share_prefix):
    """In batches of nine, nine and six rows, some of which are recorded again."""
    recorder, usual = RecordedWork(), Engine(any_model, Budget(9 * 16, 10**9), share_prefix)
    other = recording(any_model, recorder, Budget(9 * 16, 10**9), share_prefix)
    stop = ["d", "k"]
    texts = other.generate(prompts, NEW, stop)
    assert texts == usual.generate(prompts, NEW, stop)
    uncut = usual.generate(prompts, NEW, [])
    left = sum(text != whole for text, whole in zip(texts, uncut, strict=True))
    assert left > 12
    assert recorder.recordings > 3 and recorder.replays > 10


def test_rows_leave_when_half_have_finished(loaded, prompts):
    """By the sizes of the batch when it was recorded."""
    sizes = []

    class Sized(RecordedWork):
        def record(self, work):
            sizes.append(len(work.__self__.chosen))
            return super().record(work)

    recording(loaded, Sized()).generate(prompts, 40, ["g"])
    assert sizes[0] == len(prompts) and len(sizes) > 2
    assert all(after <= before / 2 for before, after in zip(sizes, sizes[1:], strict=False))


def test_a_device_without_graphs_takes_the_same_steps_as_they_are(any_model, prompts):
    engine = Engine(any_model, ONE_BATCH, make_steps=record_steps(CPU))
    expected = Engine(any_model, ONE_BATCH).generate(prompts, NEW, ["d"])
    assert engine.generate(prompts, NEW, ["d"]) == expected


@pytest.mark.parametrize("new", [1, 2])
def test_what_would_not_be_replayed_is_not_recorded(loaded, prompts, new):
    recorder = RecordedWork()
    texts = recording(loaded, recorder).generate(prompts, new, [])
    assert texts == Engine(loaded, ONE_BATCH).generate(prompts, new, [])
    assert recorder.recordings == 0


def test_nan_logits_in_a_replay_are_the_same_error(tokenizer, prompts):
    broken = build("llama_grouped", tokenizer)
    asked = prompts[:1]
    ids = tokenizer(Engine(broken, ONE_BATCH).generate(asked, NEW, [])[0])["input_ids"]
    seen = {*asked[0].context, *ids[:6]}
    late = next(token for token in ids[6:10] if token not in seen)
    with torch.no_grad():  # not in the head, whose weights are its own
        broken.model.model.embed_tokens.weight[late] = float("nan")
    recorder, said = RecordedWork(), []
    for engine in (Engine(broken, ONE_BATCH), recording(broken, recorder)):
        with pytest.raises(FloatingPointError, match="not finite") as error:
            engine.generate(asked, NEW, [])
        said.append(str(error.value))
    assert said[0] == said[1]
    assert 0 < recorder.replays < NEW - 2


def test_a_step_without_memory_is_tried_with_fewer_rows(loaded, prompts, monkeypatch):
    """The first step of a batch, before anything is recorded."""
    recorder, told, step = RecordedWork(), [], RecordedSteps._step
    most = 7

    def full(self):
        if len(self.chosen) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        step(self)

    monkeypatch.setattr(RecordedSteps, "_step", full)
    engine = recording(loaded, recorder, Budget(10**6, 10**9))
    texts = engine.generate(prompts, NEW, [], told.append)
    assert texts == Engine(loaded, ONE_BATCH).generate(prompts, NEW, [])
    assert told == [6, 6, 6, 6] and recorder.replays > 0
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        recording(loaded, RecordedWork(), Budget(10**6, 10**9)).generate(prompts, NEW, [])


def test_what_cannot_be_recorded_ends_there(loaded, prompts, monkeypatch):
    """Torch may be unable to free its memory, so no other batch is tried."""
    tried = []

    def fails(self, work):
        tried.append(work)
        raise NotRecorded("no")

    monkeypatch.setattr(RecordedWork, "record", fails)
    with pytest.raises(NotRecorded):
        recording(loaded, RecordedWork(), Budget(10**6, 10**9)).generate(prompts, NEW, [])
    assert len(tried) == 1


def test_other_scores_are_made_in_the_same_way(loaded, prompts):
    asked = [Prompt(one.context, [[5, 6], [7]], 0, False) for one in prompts]
    recorder = RecordedWork()
    assert recording(loaded, recorder).score(asked) == Engine(loaded, ONE_BATCH).score(asked)
    assert recorder.recordings == 0
