"""Sentences of the pocket world: what can be said of a person, a thing, a place and a quality.

The corpus uses every pattern here. A task uses one family of them for its training and in-domain
test sets (`home`) and another for its out-of-domain set (`away`).
"""

import random
from dataclasses import dataclass

from ptft.pocket.world import CATEGORIES, PEOPLE, PLACES

THINGS = tuple(thing for members in CATEGORIES.values() for thing in members)

# Every pattern names the thing and the adjective once: the words that two sentences about the same
# scene share do not depend on how their adjectives relate.
DESCRIPTIONS: dict[str, tuple[str, ...]] = {
    "home": (
        "{person} has {a_thing}.",
        "{person} saw {a_thing} in the {place}.",
        "The {thing} of {person} is {adjective}.",
        "{person} likes the {adjective} {thing}.",
    ),
    "away": (
        "There is {a_thing} in the {place}.",
        "The {thing} near the {place} looks {adjective}.",
        "People call the {thing} {adjective}.",
    ),
}


@dataclass(frozen=True)
class Scene:
    """Who, what and where: the words that two sentences of a pair share."""

    person: str
    thing: str
    place: str


def draw_scene(rng: random.Random) -> Scene:
    """A random scene, each word independent of the others."""
    return Scene(rng.choice(PEOPLE), rng.choice(THINGS), rng.choice(PLACES))


def with_article(words: str) -> str:
    """`a big dog`, `an old dog`: the words with the indefinite article that fits the first."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def describe(pattern: str, scene: Scene, adjective: str) -> str:
    """The pattern as a sentence about the scene, with this adjective for the thing."""
    return pattern.format(
        person=scene.person,
        thing=scene.thing,
        place=scene.place,
        adjective=adjective,
        a_thing=with_article(f"{adjective} {scene.thing}"),
    )


def listing(words: list[str]) -> str:
    """`a, b and c`."""
    return f"{', '.join(words[:-1])} and {words[-1]}"
