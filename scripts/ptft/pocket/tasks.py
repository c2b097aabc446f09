"""The pocket study's datasets: every task, its out-of-domain twin, and the multiple-choice sets.

A dataset is drawn twice, once for each split. What two adjectives are to one another is held out:
the test split uses scales that the train split never shows. Classes are exactly balanced, and each
class is built from the same scenes, patterns and words, so that nothing but the relation tells
them apart.
"""

import random
from collections.abc import Callable

from ptft.pocket.choices import facts_rows, stories_rows, synonyms_rows
from ptft.pocket.grammar import DESCRIPTIONS, describe, draw_scene
from ptft.pocket.plots import tell
from ptft.pocket.world import World, related_pair

Row = dict[str, str | int | list[str]]
Draw = Callable[[random.Random, World, str, int], list[Row]]

NLI_LABELS = {"same": 0, "unrelated": 1, "opposite": 2}  # entailment, neutral, contradiction
# Two of the four make "no": half of the pairs that differ contradict, half only say other things.
PARAPHRASE_LABELS = (("same", 1), ("opposite", 0), ("same", 1), ("unrelated", 0))

TRAIN_ROWS = 1008  # a multiple of 2, 3 and 4: classes and kinds come out even
SHOT_ROWS = 120  # train split of the sets that no model is fine-tuned on
TEST_ROWS = 120
SPLITS = ("train", "test")


def two_sentences(
    rng: random.Random, world: World, split: str, family: str, relation: str
) -> tuple[str, str]:
    """Two sentences about one scene whose adjectives stand in `relation`."""
    first, second = related_pair(rng, relation, world.scales(split))
    scene = draw_scene(rng)
    patterns = DESCRIPTIONS[family]
    return (
        describe(rng.choice(patterns), scene, first),
        describe(rng.choice(patterns), scene, second),
    )


def nli_rows(family: str) -> Draw:
    """Premise and hypothesis about one scene; the label is the relation of the adjectives."""

    def draw(rng: random.Random, world: World, split: str, count: int) -> list[Row]:
        relations = list(NLI_LABELS)

        def row(number: int) -> Row:
            relation = relations[number % len(relations)]
            premise, hypothesis = two_sentences(rng, world, split, family, relation)
            return {"premise": premise, "hypothesis": hypothesis, "label": NLI_LABELS[relation]}

        return unlike_rows(rng, row, count)

    return draw


def paraphrase_rows(family: str) -> Draw:
    """Two sentences about one scene; they are a paraphrase if the adjectives are synonyms."""

    def draw(rng: random.Random, world: World, split: str, count: int) -> list[Row]:
        def row(number: int) -> Row:
            relation, label = PARAPHRASE_LABELS[number % len(PARAPHRASE_LABELS)]
            first, second = two_sentences(rng, world, split, family, relation)
            return {"sentence1": first, "sentence2": second, "label": label}

        return unlike_rows(rng, row, count)

    return draw


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
