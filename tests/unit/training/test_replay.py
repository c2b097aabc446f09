"""Replay: how many, which, in which order; and that the task's examples stay as they are."""

import numpy as np
import pytest
from remedy_runs import assert_same_run, stopped_and_resumed, trained, trainer_of
from tiny import TEMPLATE, tiny_rows, tiny_tokenizer

from ptft.training.examples import Example, text_examples
from ptft.training.remedies import Replayed, replay_examples


def named(count):
    return [Example(f"r{number}", np.arange(2), np.array([False, True])) for number in range(count)]


def batches(replayed, count=20, size=8, updates=6):
    return [
        [item.example_id for item in replayed.batch(step, count, size)] for step in range(updates)
    ]


def test_replayed_examples_are_as_many_as_the_share_says():
    """Of a share 0.2 a quarter of 8, 8 and 4 task examples; of 0.1 a ninth, rounded in sum."""
    assert [len(batch) for batch in batches(Replayed(named(99), 0.2, 1))] == [2, 2, 1, 2, 2, 1]
    # In sum 0.9, 1.8, 2.2, 3.1, 4 and 4.4.
    assert [len(batch) for batch in batches(Replayed(named(99), 0.1, 1))] == [1, 1, 0, 1, 1, 0]
    few = [len(batch) for batch in batches(Replayed(named(9), 0.05, 1), updates=300)]
    assert sum(few) == round(2000 * 0.05 / 0.95) and set(few) == {0, 1}


def test_every_pass_over_the_replayed_set_is_in_another_order():
    drawn = sum(batches(Replayed(named(5), 0.5, 1), updates=3), [])
    assert len(drawn) == 20
    passes = [drawn[start : start + 5] for start in range(0, 20, 5)]
    assert all(sorted(each) == ["r0", "r1", "r2", "r3", "r4"] for each in passes)
    assert len({tuple(each) for each in passes}) > 1
    assert drawn != sum(batches(Replayed(named(5), 0.5, 2), updates=3), [])


def test_nothing_to_replay_is_refused():
    with pytest.raises(ValueError, match="replay: the dataset has no examples"):
        Replayed([], 0.5, 1)


def test_text_is_learned_in_windows():
    """Documents of 5, 1 and no words, with their EOS, in windows of 4 tokens."""
    rows = [
        {"example_id": "a", "text": "w0 w1 w2 w3 w4"},
        {"example_id": "b", "text": "w0"},
        {"example_id": "c", "text": ""},
    ]
    made = text_examples(tiny_tokenizer(), rows, 4)
    assert [item.example_id for item in made] == ["a", "a:4", "b", "c"]
    assert [item.ids.tolist() for item in made] == [[11, 12, 13, 14], [15, 0], [11, 0], [0, 0]]
    assert [item.loss_mask.tolist() for item in made][:2] == [[False] + [True] * 3, [False, True]]
    # A rest of one token is left out.
    assert [len(item.ids) for item in text_examples(tiny_tokenizer(), rows[:1], 5)] == [5]


def test_rows_say_what_is_learned_of_them():
    tokenizer = tiny_tokenizer()
    chat = {"example_id": "c", "messages": [{"role": "user", "content": "w0"},
                                            {"role": "assistant", "content": "w1"}]}  # fmt: skip
    [text] = replay_examples(tokenizer, [{"example_id": "t", "text": "w0 w1"}], None, 9)
    [turn] = replay_examples(tokenizer, [chat], None, 9)
    [completion] = replay_examples(tokenizer, tiny_rows(1, longest=2), TEMPLATE, 9)
    assert [text.example_id, completion.example_id] == ["replayed t", "replayed t-0"]
    assert (text.targets, turn.targets, completion.targets) == (2, 2, 2)
    with pytest.raises(ValueError, match="replay_template: these rows need one"):
        replay_examples(tokenizer, tiny_rows(1), None, 9)


def replay(share):
    others = replay_examples(tiny_tokenizer(), tiny_rows(7, seed=9), TEMPLATE, 64)
    return Replayed(others, share, 5)


def test_the_share_of_a_run_and_the_tasks_examples(checkpoint, tmp_path, monkeypatch):
    trainer, plain = trainer_of(checkpoint, replayed=replay(0.2)), trainer_of(checkpoint)
    seen = {trainer: [], plain: []}
    for each in seen:
        add_up = each.gradients.add_up
        monkeypatch.setattr(
            each.gradients,
            "add_up",
            lambda batch, update, add_up=add_up, log=seen[each]: (
                log.append(batch) or add_up(batch, update)
            ),
        )
    trained(lambda: trainer, tmp_path / "a"), trained(lambda: plain, tmp_path / "b")
    tokens = 0
    for batch, alone in zip(seen[trainer], seen[plain], strict=True):
        names = [item.example_id for item in batch]
        assert names[: len(alone)] == [item.example_id for item in alone]
        assert all(name.startswith("replayed ") for name in names[len(alone) :])
        tokens += sum(len(item.ids) for item in batch[len(alone) :])
    assert trainer.seen["examples"] == 50 and trainer.seen["replayed_examples"] == 10
    assert trainer.curve[-1]["replayed_tokens"] == tokens > 0
    assert trainer.seen["tokens"] == plain.seen["tokens"] + tokens
    assert "replayed_examples" not in plain.curve[-1]


def test_a_run_with_replay_resumes_to_the_same_weights(checkpoint, tmp_path):
    def make():
        return trainer_of(checkpoint, replayed=replay(0.3))

    resumed = stopped_and_resumed(make, tmp_path / "b", after=2)
    assert_same_run(trained(make, tmp_path / "a"), resumed)
    assert resumed.seen["replayed_examples"] == 17  # 40 x 3 / 7
