"""The pocket study's datasets: tasks, their out-of-domain twins, multiple choice; and its files.

A dataset is drawn twice, once per split. Relations between two adjectives are held out:
the test split uses scales that the train split never shows. Classes are exactly balanced, and each
class is built from the same scenes, patterns and words, so that only the relation
distinguishes them. Multiple-choice sets complete lines of the corpus, as pre-training teaches
directly: rows {context, choices, answer}, no context twice, wrong choices of the right one's kind.
"""

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow
import pyarrow.parquet

from ptft.pocket.corpus import (
    HOME_LINES,
    JOB_LINES,
    OPPOSITE_LINES,
    SUMMARY_OPENINGS,
    SYNONYM_LINES,
    THING_LINES,
    held_out_documents,
    write_documents,
)
from ptft.pocket.world import (
    CATEGORIES,
    DESCRIPTIONS,
    JOBS,
    PEOPLE,
    SCALES,
    THINGS,
    TOWNS,
    Story,
    World,
    category_of,
    describe,
    draw_scene,
    random_word,
    related_word,
    tell,
    with_article,
)

Row = dict[str, str | int | list[str]]
Draw = Callable[[random.Random, World, str, int], list[Row]]

# entailment, neutral, contradiction
NLI_LABELS = (("same", 0), ("unrelated", 1), ("opposite", 2))
# Half of the pairs that are no paraphrase contradict, half only say other things.
PARAPHRASE_LABELS = (("same", 1), ("opposite", 0), ("same", 1), ("unrelated", 0))

TRAIN_ROWS = 1008  # a multiple of 2, 3 and 4: classes and kinds come out even
SHOT_ROWS = 120  # train split of the sets that no model is fine-tuned on
TEST_ROWS = 120


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


def story_rows(family: str, content: Callable[[Story, int], Row]) -> Draw:
    """Rows of stories: `content` makes one of a story and the row's number."""

    def draw(rng: random.Random, world: World, split: str, count: int) -> list[Row]:
        def row(number: int) -> Row:
            return content(tell(rng, family, world.scales(split)), number)

        return unlike_rows(rng, row, count)

    return draw


def summary_row(story: Story, number: int) -> Row:
    """A story and its summary in one sentence, which says the adjective by its synonym."""
    return {"document": " ".join(story.sentences), "summary": story.summarize()}


def question_row(story: Story, number: int) -> Row:
    """A story, an answer, and the question about the story that has this answer."""
    answer, question = story.plot.questions[number % len(story.plot.questions)]
    return {
        "context": " ".join(story.sentences),
        "answer": story.fill(answer),
        "question": story.fill(question),
    }


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


STORY_ROWS = 240


def choice_row(rng: random.Random, context: str, right: str, wrong: list[str]) -> dict:
    """A row with the right choice at a random place among the wrong ones."""
    choices = [right, *wrong]
    rng.shuffle(choices)
    return {"context": context, "choices": choices, "answer": choices.index(right)}


def split_line(line: str, **words: str) -> tuple[str, str]:
    """Cut a corpus line before its last {placeholder}: the context, and the pattern left over."""
    cut = line.rindex("{")
    return line[:cut].format(**words).rstrip(), line[cut:]


def facts_rows(rng: random.Random, world: World) -> list[dict]:
    """Which category a thing belongs to, what a person does, where they live."""
    rows = []
    for line in THING_LINES:
        for thing in THINGS:
            right = category_of(thing)
            others = rng.sample([name for name in CATEGORIES if name != right], 3)
            context, rest = split_line(line, x=thing)
            endings = [rest.format(c=c, a_c=with_article(c)) for c in (right, *others)]
            rows.append(choice_row(rng, context, endings[0], endings[1:]))
    for lines, facts, names in (
        (JOB_LINES, world.jobs, JOBS),
        (HOME_LINES, world.homes, TOWNS),
    ):
        for line in lines:
            for person in PEOPLE:
                right = facts[person]
                others = rng.sample([name for name in names if name != right], 3)
                context, rest = split_line(line, p=person)
                endings = [rest.format(job=name, town=name) for name in (right, *others)]
                rows.append(choice_row(rng, context, endings[0], endings[1:]))
    rng.shuffle(rows)
    return rows


def synonyms_rows(rng: random.Random, world: World) -> list[dict]:
    """Which word means the same as, or the opposite of, another."""
    rows = []
    for number, scale in enumerate(SCALES):
        for end in range(2):
            for position, word in enumerate(scale.ends[end]):
                alike, unlike = scale.ends[end][1 - position], rng.choice(scale.ends[1 - end])
                for lines, right, wrong in (
                    (SYNONYM_LINES, alike, unlike),
                    (OPPOSITE_LINES, unlike, alike),
                ):
                    for line in lines:
                        context, rest = split_line(line, a=word)
                        scales = rng.sample([i for i in range(len(SCALES)) if i != number], 2)
                        others = [rng.choice(SCALES[i].ends[rng.randrange(2)]) for i in scales]
                        endings = [rest.format(b=other) for other in (right, wrong, *others)]
                        rows.append(choice_row(rng, context, endings[0], endings[1:]))
    rng.shuffle(rows)
    return rows


def stories_rows(rng: random.Random, world: World) -> list[dict]:
    """The end of a story: wrong choices swap the people, the thing or the sense."""
    rows = []
    contexts = set()
    while len(rows) < STORY_ROWS:
        story = tell(rng, rng.choice(("home", "away")))
        context = " ".join([*story.sentences, SUMMARY_OPENINGS[0]])
        if context in contexts:
            continue
        contexts.add(context)
        scale = next(s for s in SCALES if any(story.adjective in end for end in s.ends))
        against = rng.choice(next(end for end in scale.ends if story.adjective not in end))
        thing = rng.choice([thing for thing in THINGS if thing != story.thing])
        wrong = [
            story.summarize(p=story.words["q"], q=story.words["p"]),
            story.summarize(syn_x=with_article(f"{against} {story.thing}")),
            story.summarize(syn_x=story.words["syn_x"].replace(story.thing, thing)),
        ]
        rows.append(choice_row(rng, context, story.summarize(), wrong))
    return rows


# name -> (how its rows are drawn, rows of its train split)
DATASETS: dict[str, tuple[Draw, int]] = {
    "nli": (nli_rows("home"), TRAIN_ROWS),
    "nli_ood": (nli_rows("away"), SHOT_ROWS),
    "paraphrase": (paraphrase_rows("home"), TRAIN_ROWS),
    "paraphrase_ood": (paraphrase_rows("away"), SHOT_ROWS),
    "summary": (story_rows("home", summary_row), TRAIN_ROWS),
    "summary_ood": (story_rows("away", summary_row), SHOT_ROWS),
    "question": (story_rows("home", question_row), TRAIN_ROWS),
    "question_ood": (story_rows("away", question_row), SHOT_ROWS),
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


# 1.7 M tokens: a full pre-training run reads them about three times.
DOCUMENTS = 70_000


def write_corpus(world: World, root: Path) -> None:
    """Write `root/corpus.txt`, one document per line."""
    root.mkdir(parents=True, exist_ok=True)
    documents = write_documents(world, DOCUMENTS)
    (root / "corpus.txt").write_text("\n".join(documents) + "\n", encoding="utf-8")


def write_datasets(world: World, root: Path) -> None:
    """Write every dataset's splits below `root/datasets/pocket/`, as a Hub repository has them."""
    for name in (*DATASETS, *CHOICES):
        for split, rows in draw_dataset(world, name).items():
            target = root / f"datasets/pocket/{name}/default/{split}-00000-of-00001.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), target)


def write_held_out(world: World, corpus: Iterable[str], folder: Path) -> None:
    """Write `folder/SPLIT.jsonl`, an object with the column `text` a line."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, documents in held_out_documents(world, corpus).items():
        lines = "".join(json.dumps({"text": text}) + "\n" for text in documents)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
