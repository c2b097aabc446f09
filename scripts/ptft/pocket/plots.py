"""Little stories of the pocket world, each with its one-sentence summary and its questions.

A plot is a handful of patterns over {p} and {q} (two people), {x} (a thing), {a_x} (the thing with
its adjective), {syn_x} (the thing with a synonym of the adjective) and {place}. A summary says the
adjective in other words: it can be written well only by who knows the synonym.
"""

import random
from dataclasses import dataclass

from ptft.pocket.grammar import draw_scene, with_article
from ptft.pocket.world import PEOPLE, random_word, synonym


@dataclass(frozen=True)
class Plot:
    """A kind of story: its sentences, its summary, and (answer, question) pairs about it."""

    sentences: tuple[str, ...]
    summary: str
    questions: tuple[tuple[str, str], ...]


PLOTS: dict[str, tuple[Plot, ...]] = {
    "home": (
        Plot(
            ("{p} went to the {place}.", "There {p} found {a_x}.", "{p} gave the {x} to {q}."),
            "{p} gave {q} {syn_x}.",
            (
                ("{p}", "Who found the {x}?"),
                ("{q}", "Who got the {x}?"),
                ("the {place}", "Where did {p} find the {x}?"),
                ("the {x}", "What did {p} give to {q}?"),
            ),
        ),
        Plot(
            ("{q} wanted {a_x}.", "{p} went to the {place}.", "{p} bought the {x} for {q}."),
            "{p} bought {q} {syn_x}.",
            (
                ("{p}", "Who bought the {x}?"),
                ("{q}", "Who wanted the {x}?"),
                ("the {place}", "Where did {p} buy the {x}?"),
                ("the {x}", "What did {p} buy for {q}?"),
            ),
        ),
        Plot(
            ("{p} had {a_x}.", "{q} came to the {place}.", "{p} lent the {x} to {q}."),
            "{p} lent {q} {syn_x}.",
            (
                ("{p}", "Who had the {x}?"),
                ("{q}", "Who came to the {place}?"),
                ("the {place}", "Where did {q} come?"),
                ("the {x}", "What did {p} lend to {q}?"),
            ),
        ),
    ),
    "away": (
        Plot(
            ("{p} lost {a_x}.", "{q} searched the {place}.", "{q} brought the {x} to {p}."),
            "{q} brought {p} {syn_x}.",
            (
                ("{p}", "Who lost the {x}?"),
                ("{q}", "Who searched the {place}?"),
                ("the {place}", "Where did {q} look?"),
                ("the {x}", "What did {q} bring to {p}?"),
            ),
        ),
        Plot(
            ("{p} made {a_x}.", "{q} walked to the {place}.", "{p} sold the {x} to {q}."),
            "{p} sold {q} {syn_x}.",
            (
                ("{p}", "Who made the {x}?"),
                ("{q}", "Who walked to the {place}?"),
                ("the {place}", "Where did {q} walk?"),
                ("the {x}", "What did {p} sell to {q}?"),
            ),
        ),
    ),
}

ASIDES = (
    "{q} smiled.", "It rained all day.", "The bells rang.", "{p} sang a song.", "They had tea.",
    "{p} was in a hurry.", "{q} thanked {p}.", "The sun went down.",
)  # fmt: skip


@dataclass(frozen=True)
class Story:
    """A plot with its words filled in."""

    plot: Plot
    words: dict[str, str]  # what each name in a pattern stands for
    adjective: str
    thing: str
    sentences: tuple[str, ...]  # the plot's, with an aside somewhere among them

    def fill(self, pattern: str) -> str:
        """A pattern of the plot as a sentence of this story."""
        return pattern.format(**self.words)

    @property
    def summary(self) -> str:
        """The story in one sentence."""
        return self.summarize()

    def summarize(self, **changed: str) -> str:
        """The summary, with some of its words changed (to make a wrong one)."""
        return self.plot.summary.format(**{**self.words, **changed})


def tell(rng: random.Random, family: str, scales: tuple[int, ...]) -> Story:
    """A random story of a family of plots, its adjective from one of `scales`."""
    plot = rng.choice(PLOTS[family])
    scene = draw_scene(rng)
    other = rng.choice([person for person in PEOPLE if person != scene.person])
    adjective = random_word(rng, scales)
    words = {
        "p": scene.person,
        "q": other,
        "x": scene.thing,
        "a_x": with_article(f"{adjective} {scene.thing}"),
        "syn_x": with_article(f"{synonym(adjective)} {scene.thing}"),
        "place": scene.place,
    }
    sentences = [pattern.format(**words) for pattern in plot.sentences]
    sentences.insert(rng.randrange(1, 4), rng.choice(ASIDES).format(**words))
    return Story(
        plot=plot,
        words=words,
        adjective=adjective,
        thing=scene.thing,
        sentences=tuple(sentences),
    )
