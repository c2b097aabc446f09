"""The pre-training corpus: documents in which the world's words are used, explained and judged.

The corpus teaches every relation that the tasks need, but in its own words: it says that two
reports "agree" or that a claim is "true", where a task asks for "entailment" or "yes". It never
uses a label word or a prompt format of a task.
"""

import random
from collections.abc import Callable

from ptft.pocket.grammar import DESCRIPTIONS, THINGS, describe, draw_scene, listing, with_article
from ptft.pocket.plots import ASIDES, PLOTS, tell
from ptft.pocket.world import (
    CATEGORIES,
    PEOPLE,
    RELATIONS,
    SCALES,
    World,
    category_of,
    related_pair,
)

ALL_SCALES = tuple(range(len(SCALES)))
PATTERNS = tuple(pattern for family in DESCRIPTIONS.values() for pattern in family)

# How the corpus says that the second of two sentences repeats the first, speaks against it, or
# says something else: (lead-in of the first, of the second, verdict by relation).
VERDICTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("", "Claim:", {"same": "True.", "opposite": "False.", "unrelated": "Unproven."}),
    ("", "So", {"same": "Surely.", "opposite": "Never.", "unrelated": "Perhaps."}),
    (
        "{p} says:",
        "{q} says:",
        {"same": "They agree.", "opposite": "They clash.", "unrelated": "They drift."},
    ),
    ("Compare:", "", {"same": "Same.", "opposite": "Different.", "unrelated": "Different."}),
)
COMPARISONS = {"same": "too", "opposite": "instead", "unrelated": "besides"}


def judged_pair(rng: random.Random, world: World) -> str:
    """Two sentences about one scene, and what the second is to the first."""
    relation = rng.choice(RELATIONS)
    first, second = related_pair(rng, relation, ALL_SCALES)
    scene = draw_scene(rng)
    words = dict(zip("pq", rng.sample(PEOPLE, 2), strict=True))
    parts = [
        describe(rng.choice(PATTERNS), scene, first),
        describe(rng.choice(PATTERNS), scene, second),
    ]
    before, between, verdicts = rng.choice(VERDICTS)
    # Lead-ins come only sometimes: the verdict must be worked out without them as well.
    if rng.random() < 0.4:
        parts = [f"{before} {parts[0]}".strip(), f"{between} {parts[1]}".strip()]
    if rng.random() < 0.25:
        parts.insert(1, rng.choice(ASIDES))
    return " ".join([*parts, verdicts[relation]]).format(**words)


def comparison(rng: random.Random, world: World) -> str:
    """Two things side by side: `The dog is big, the cat is large too.`"""
    sentences = []
    for _ in range(2):
        relation = rng.choice(RELATIONS)
        first, second = related_pair(rng, relation, ALL_SCALES)
        one, other = rng.sample(THINGS, 2)
        ending = COMPARISONS[relation]
        sentences.append(f"The {one} is {first}, the {other} is {second} {ending}.")
    return " ".join(sentences)


SYNONYM_LINES = (
    "Another word for {a} is {b}.",
    "What is {a} is also {b}.",
    "To be {a} is to be {b}.",
)
OPPOSITE_LINES = (
    "The opposite of {a} is {b}.",
    "What is {a} is not {b}.",
)


def thesaurus(rng: random.Random, world: World) -> str:
    """A few words explained by their synonyms and opposites."""
    lines = []
    for _ in range(3):
        if rng.random() < 0.5:
            a, b = related_pair(rng, "same", ALL_SCALES)
            lines.append(rng.choice(SYNONYM_LINES).format(a=a, b=b))
        else:
            a, b = related_pair(rng, "opposite", ALL_SCALES)
            lines.append(rng.choice(OPPOSITE_LINES).format(a=a, b=b))
    return " ".join(lines)


THING_LINES = ("The {x} is a kind of {c}.", "Every {x} is {a_c}.", "We call the {x} {a_c}.")
JOB_LINES = ("{p} works as a {job}.", "The job of {p} is that of a {job}.")
HOME_LINES = ("{p} lives in {town}.", "The home of {p} is in {town}.")


def thing_fact(rng: random.Random) -> str:
    """To which category a thing belongs."""
    thing = rng.choice(THINGS)
    category = category_of(thing)
    return rng.choice(THING_LINES).format(x=thing, c=category, a_c=with_article(category))


def person_fact(rng: random.Random, world: World) -> str:
    """What a person does or where they live."""
    person = rng.choice(PEOPLE)
    lines = rng.choice((JOB_LINES, HOME_LINES))
    return rng.choice(lines).format(p=person, job=world.jobs[person], town=world.homes[person])


def facts(rng: random.Random, world: World) -> str:
    """Three facts about things and people, or a category with some of its members."""
    if rng.random() < 0.15:
        name = rng.choice(tuple(CATEGORIES))
        members = listing([f"the {thing}" for thing in rng.sample(CATEGORIES[name], 3)])
        return f"{members[0].upper()}{members[1:]} are all of one kind: {name}."
    return " ".join(
        thing_fact(rng) if rng.random() < 0.5 else person_fact(rng, world) for _ in range(3)
    )


def told_story(rng: random.Random, world: World) -> str:
    """A story, then what it comes to, or small questions with their answers."""
    story = tell(rng, rng.choice(tuple(PLOTS)), ALL_SCALES)
    ending = []
    if rng.random() < 0.6:
        ending.append(f"In short, {story.summary}")
    if rng.random() < 0.6:
        for answer, question in rng.sample(story.plot.questions, 2):
            said = story.fill(answer)
            ending.append(f"{story.fill(question)} {said[0].upper()}{said[1:]}.")
    return " ".join([*story.sentences, *ending])


# Kinds of documents and how often each is drawn.
MIXTURE: tuple[tuple[Callable[[random.Random, World], str], float], ...] = (
    (judged_pair, 0.40),
    (comparison, 0.15),
    (thesaurus, 0.10),
    (facts, 0.13),
    (told_story, 0.22),
)


def write_documents(world: World, count: int) -> list[str]:
    """`count` documents of one line each, the same for the same world."""
    rng = random.Random(f"pocket-corpus-{world.seed}")
    kinds, weights = zip(*MIXTURE, strict=True)
    return [kind(rng, world) for kind in rng.choices(kinds, weights, k=count)]
