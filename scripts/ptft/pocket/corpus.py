"""The pre-training corpus: documents in which the world's words are used, explained and judged.

The corpus teaches every relation that the tasks need, but in its own words: it says that two
reports "agree" or that a claim is "true", where a task asks for "entailment" or "yes". It never
uses a label word or a prompt format of a task.
"""

import random
from collections.abc import Callable, Iterable, Iterator

from ptft.pocket.world import (
    ASIDES,
    CATEGORIES,
    DESCRIPTIONS,
    JOBS,
    PEOPLE,
    PLOTS,
    RELATIONS,
    SCALES,
    THINGS,
    World,
    category_of,
    describe,
    draw_scene,
    listing,
    random_word,
    related_word,
    synonym,
    tell,
    with_article,
)

PATTERNS = tuple(pattern for family in DESCRIPTIONS.values() for pattern in family)

# How the corpus says that a second statement repeats the first, speaks against it, or says
# something else: by an adverb in the second, or by a verdict after it.
ADVERBS = ("too", "instead", "besides")
VERDICTS = ("True.", "False.", "Unproven.")
# Who or what speaks a statement or a verdict. It varies much: what a colon announces must not
# depend on the words before it.
SPEAKERS = ("{p}:", "{p} in the {place}:", "The {job}:", "All told:", "My view:", "They said:")


def speaker(rng: random.Random) -> str:
    """Words that announce a statement or a verdict: `Anna:`, `Tom in the garden:`."""
    scene = draw_scene(rng)
    return rng.choice(SPEAKERS).format(p=scene.person, place=scene.place, job=rng.choice(JOBS))


def verdict_of(relation: str, verdicts: tuple[str, str, str]) -> str:
    """The verdict of a style on two statements whose adjectives are so related."""
    return verdicts[{"identical": 0, "same": 0, "opposite": 1, "unrelated": 2}[relation]]


MARKS = tuple("*-=+~|/%&@#_<>$^0123456789")


def marks(rng: random.Random) -> str:
    """Signs without a meaning, as found in any crawled text: `= 7`, `# _ 3:`."""
    signs = " ".join(rng.choice(MARKS) for _ in range(rng.choice((1, 1, 2))))
    return signs + rng.choice(("", ":"))


def judged_claims(rng: random.Random, world: World) -> str:
    """A statement about a scene, then claims in full or in a word, each with its verdict."""
    scene, first = draw_scene(rng), random_word(rng)
    parts = [describe(rng.choice(PATTERNS), scene, first)]
    if rng.random() < 0.15:
        parts.append(rng.choice(ASIDES).format(p=scene.person, q=rng.choice(PEOPLE)))
    # Signs or words come before claims and verdicts, or do not: what the verdict is must not
    # depend on what stands around the claims.
    marked = rng.random() < 0.4
    announced, spoken = rng.random() < 0.2, rng.random() < 0.3
    full = rng.random() < 0.6
    if marked:
        parts.insert(0, marks(rng))
    for _ in range(2 if full else 3):
        relation = rng.choice(RELATIONS)
        word = related_word(rng, first, relation)
        if marked:
            parts.append(marks(rng))
        if announced:
            parts.append(speaker(rng))
        parts.append(describe(rng.choice(PATTERNS), scene, word) if full else f"{word}?")
        if marked:
            parts.append(marks(rng))
        if spoken:
            parts.append(speaker(rng))
        parts.append(verdict_of(relation, VERDICTS))
    return " ".join(parts)


def judged_words(rng: random.Random, world: World) -> str:
    """A word, then others, each with what it is to the first: `The word big: large? True.`"""
    first = random_word(rng)
    parts = [f"The word {first}:"]
    for _ in range(3):
        relation = rng.choice(RELATIONS)
        parts.append(f"{related_word(rng, first, relation)}? {verdict_of(relation, VERDICTS)}")
    return " ".join(parts)


def comparison(rng: random.Random, world: World) -> str:
    """Two things side by side: `The dog is big, the cat is large too.`"""
    sentences = []
    for _ in range(2):
        relation = rng.choice(RELATIONS)
        first = random_word(rng)
        second = related_word(rng, first, relation)
        one, other = rng.sample(THINGS, 2)
        adverb = verdict_of(relation, ADVERBS)
        sentences.append(f"The {one} is {first}, the {other} is {second} {adverb}.")
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
        word = random_word(rng)
        if rng.random() < 0.5:
            lines.append(rng.choice(SYNONYM_LINES).format(a=word, b=synonym(word)))
        else:
            opposite = related_word(rng, word, "opposite")
            lines.append(rng.choice(OPPOSITE_LINES).format(a=word, b=opposite))
    return " ".join(lines)


SIMILE_LINES = (
    "{x} is as {a} as {emblem}.",
    "To be {a} is to be like {emblem}.",
    "How {a} it is is a matter of {scale}.",
)


def similes(rng: random.Random, world: World) -> str:
    """Company of adjectives, likened and measured: synonyms keep the same."""
    lines = []
    for _ in range(3):
        scale, end = rng.choice(SCALES), rng.randrange(2)
        word = rng.choice(scale.ends[end])
        line = rng.choice(SIMILE_LINES)
        lines.append(
            line.format(
                x=f"The {rng.choice(THINGS)}",
                a=word,
                emblem=scale.emblems[end],
                scale=scale.name,
            )
        )
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
    """A person's work or home."""
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


SUMMARY_OPENINGS = ("In short:", "In brief:", "What happened:")
QUESTION_OPENINGS = ("Let us ask:", "One may ask:", "A riddle:")


def told_story(rng: random.Random, world: World) -> str:
    """A story, then what it comes to, or small questions with their answers."""
    story = tell(rng, rng.choice(tuple(PLOTS)))
    ending = []
    if rng.random() < 0.7:
        ending.append(f"{rng.choice(SUMMARY_OPENINGS)} {story.summarize()}")
    if rng.random() < 0.5:
        ending.append(rng.choice(QUESTION_OPENINGS))
        for answer, question in rng.sample(story.plot.questions, 2):
            said = story.fill(answer)
            ending.append(f"{story.fill(question)} {said[0].upper()}{said[1:]}.")
    return " ".join([*story.sentences, *ending])


# Kinds of documents and how often each is drawn.
MIXTURE: tuple[tuple[Callable[[random.Random, World], str], float], ...] = (
    (judged_claims, 0.25),
    (judged_words, 0.30),
    (comparison, 0.20),
    (thesaurus, 0.05),
    (similes, 0.06),
    (facts, 0.05),
    (told_story, 0.09),
)


def write_documents(world: World, count: int, stream: str = "corpus") -> list[str]:
    """`count` documents of one line each, the same for the same world and stream."""
    rng = random.Random(f"pocket-{stream}-{world.seed}")
    kinds, weights = zip(*MIXTURE, strict=True)
    return [kind(rng, world) for kind in rng.choices(kinds, weights, k=count)]


# Documents of each split; those of the train split are for whoever mixes text into fine-tuning.
SPLITS = {"train": 2000, "test": 500}


def held_out_documents(world: World, corpus: Iterable[str]) -> dict[str, list[str]]:
    """Documents of each split, the same for the same world, from a stream of their own.

    Those that are in the corpus as well, word for word, are left out, and so are repetitions.
    """
    fresh = _fresh(world, set(corpus))
    return {split: [next(fresh) for _ in range(count)] for split, count in SPLITS.items()}


def _fresh(world: World, seen: set[str]) -> Iterator[str]:
    # Of world 0, one in seven documents was drawn before; three times as many are more than enough.
    for document in write_documents(world, 3 * sum(SPLITS.values()), stream="text"):
        if document not in seen:
            seen.add(document)
            yield document
