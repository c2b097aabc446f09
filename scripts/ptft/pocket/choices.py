"""Multiple-choice completions in the corpus' own style: what pre-training teaches directly.

Every set is a shuffled list of rows {context, choices, answer}; no context comes twice. `answer`
is the index of the right choice. The wrong choices are of the right one's kind.
"""

import random

from ptft.pocket.corpus import (
    HOME_LINES,
    JOB_LINES,
    OPPOSITE_LINES,
    SUMMARY_OPENINGS,
    SYNONYM_LINES,
    THING_LINES,
)
from ptft.pocket.grammar import THINGS, with_article
from ptft.pocket.plots import tell
from ptft.pocket.world import CATEGORIES, JOBS, PEOPLE, SCALES, TOWNS, World, category_of

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
    """What a story comes to: wrong choices swap the people, the thing or the sense."""
    rows = []
    contexts = set()
    while len(rows) < STORY_ROWS:
        story = tell(rng, rng.choice(("home", "away")), world.scales("corpus"))
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
        rows.append(choice_row(rng, context, story.summary, wrong))
    return rows
