"""The pocket study's datasets: every task, its out-of-domain twin, and the multiple-choice sets.

A dataset is drawn twice, once per split. Relations between two adjectives are held out:
the test split uses scales that the train split never shows. Classes are exactly balanced, and each
class is built from the same scenes, patterns and words, so that only the relation
distinguishes them.
"""

import random
from collections.abc import Callable

from ptft.pocket.choices import facts_rows, stories_rows, synonyms_rows
from ptft.pocket.grammar import DESCRIPTIONS, describe, draw_scene
from ptft.pocket.plots import tell
from ptft.pocket.world import World, random_word, related_word

Row = dict[str, str | int | list[str]]
Draw = Callable[[random.Random, World, str, int], list[Row]]

# entailment, neutral, contradiction
NLI_LABELS = (("same", 0), ("unrelated", 1), ("opposite", 2))
# Half of the pairs that are no paraphrase contradict, half only say other things.
PARAPHRASE_LABELS = (("same", 1), ("opposite", 0), ("same", 1), ("unrelated", 0))

TRAIN_ROWS = 1008  # a multiple of 2, 3 and 4: classes and kinds come out even
SHOT_ROWS = 120  # train split of the sets that no model is fine-tuned on
TEST_ROWS = 120
SPLITS = ("train", "test")


def contrast_rows(family: str, names: tuple[str, str], labels: tuple, group: int) -> Draw:
    """Pairs of sentences about one scene, labelled by how their adjectives are related.

    Rows come in groups of `group` that share everything, the second sentence's adjective and the
    label excepted: what the sentences have in common tells nothing of the label.
    """

    def draw(rng: random.Random, world: World, split: str, count: int) -> list[Row]:
        scales = world.scales(split)
        patterns = DESCRIPTIONS[family]
        rows: dict[tuple[str, str], Row] = {}
        number = 0
        while len(rows) < count:
            scene, word = draw_scene(rng), random_word(rng, scales)
            one, other = rng.choice(patterns), rng.choice(patterns)
            kinds = [labels[(number + i) % len(labels)] for i in range(group)]
            pairs = [
                (
                    describe(one, scene, word),
                    describe(other, scene, related_word(rng, word, relation, scales)),
                )
                for relation, _ in kinds
            ]
            if any(pair in rows for pair in pairs):
                continue
            number += group
            for pair, (_, label) in zip(pairs, kinds, strict=True):
                rows[pair] = dict(zip((*names, "label"), (*pair, label), strict=True))
        shuffled = list(rows.values())
        rng.shuffle(shuffled)
        return shuffled

    return draw


def nli_rows(family: str) -> Draw:
    """A premise with a hypothesis of each label."""
    return contrast_rows(family, ("premise", "hypothesis"), NLI_LABELS, 3)


def paraphrase_rows(family: str) -> Draw:
    """A sentence with a paraphrase of it and one that is none."""
    return contrast_rows(family, ("sentence1", "sentence2"), PARAPHRASE_LABELS, 2)


def summary_rows(family: str) -> Draw:
    """A story and its summary in one sentence, which says the adjective by its synonym."""

    def draw(rng: random.Random, world: World, split: str, count: int) -> list[Row]:
        def row(number: int) -> Row:
            story = tell(rng, family, world.scales(split))
            return {"document": " ".join(story.sentences), "summary": story.summary}

        return unlike_rows(rng, row, count)

    return draw


def question_rows(family: str) -> Draw:
    """A story, an answer, and the question about the story that has this answer."""

    def draw(rng: random.Random, world: World, split: str, count: int) -> list[Row]:
        def row(number: int) -> Row:
            story = tell(rng, family, world.scales(split))
            questions = story.plot.questions
            answer, question = questions[number % len(questions)]
            return {
                "context": " ".join(story.sentences),
                "answer": story.fill(answer),
                "question": story.fill(question),
            }

        return unlike_rows(rng, row, count)

    return draw


def unlike_rows(rng: random.Random, row: Callable[[int], Row], count: int) -> list[Row]:
    """`count` rows, no two alike, in random order; `row(i)` draws one of the i-th kind."""
    rows: list[Row] = []
    seen: set[str] = set()
    while len(rows) < count:
        candidate = row(len(rows))
        if repr(candidate) not in seen:
            seen.add(repr(candidate))
            rows.append(candidate)
    rng.shuffle(rows)
    return rows


# name -> (how its rows are drawn, rows of its train split)
DATASETS: dict[str, tuple[Draw, int]] = {
    "nli": (nli_rows("home"), TRAIN_ROWS),
    "nli_ood": (nli_rows("away"), SHOT_ROWS),
    "paraphrase": (paraphrase_rows("home"), TRAIN_ROWS),
    "paraphrase_ood": (paraphrase_rows("away"), SHOT_ROWS),
    "summary": (summary_rows("home"), TRAIN_ROWS),
    "summary_ood": (summary_rows("away"), SHOT_ROWS),
    "question": (question_rows("home"), TRAIN_ROWS),
    "question_ood": (question_rows("away"), SHOT_ROWS),
}
# Multiple choice: both splits at once, since they share one list of questions.
CHOICES = {"facts": facts_rows, "synonyms": synonyms_rows, "stories": stories_rows}


def draw_dataset(world: World, name: str) -> dict[str, list[Row]]:
    """The rows of each split of a dataset, the same for the same world."""
    rng = random.Random(f"pocket-{name}-{world.seed}")
    if name in CHOICES:
        rows = CHOICES[name](rng, world)
        return {"train": rows[TEST_ROWS:][:SHOT_ROWS], "test": rows[:TEST_ROWS]}
    draw, train_rows = DATASETS[name]
    return {
        "train": draw(rng, world, "train", train_rows),
        "test": draw(rng, world, "test", TEST_ROWS),
    }
