"""The pocket world: a few hundred English words, the relations between them, sentences, stories.

All content of the corpus and the tasks is drawn from one `World`: adjectives on scales
(two words at each end: *synonyms*, against the other end: *opposites*), things in categories, and
people with a job and a home. The world is small on purpose: a model of 0.4 M parameters must be
able to learn it in minutes.

The scales are split into two halves by the seed. Fine-tuning sets use one half, test sets the
other: what relates two test words can only have been learned in pre-training. Likewise for
sentences: a task uses one family of patterns for its training and in-domain test sets (`home`) and
another for its out-of-domain set (`away`); the corpus uses all.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A dimension of opposites: its name, and two ends of two synonyms each."""

    name: str
    ends: tuple[tuple[str, str], tuple[str, str]]
    emblems: tuple[str, str]  # what each end is likened to: `as big as a whale`


# No word stands on two scales.
SCALES: tuple[Scale, ...] = (
    Scale("size", (("big", "large"), ("small", "little")), ("a whale", "an ant")),
    Scale("speed", (("fast", "quick"), ("slow", "sluggish")), ("an arrow", "a snail")),
    Scale("heat", (("hot", "warm"), ("cold", "chilly")), ("fire", "ice")),
    Scale("age", (("old", "ancient"), ("new", "modern")), ("the hills", "the dawn")),
    Scale("noise", (("loud", "noisy"), ("quiet", "silent")), ("thunder", "a mouse")),
    Scale("strength", (("strong", "sturdy"), ("weak", "feeble")), ("an ox", "straw")),
    Scale("light", (("bright", "shiny"), ("dark", "dim")), ("the sun", "the night")),
    Scale("manners", (("kind", "gentle"), ("cruel", "harsh")), ("a nurse", "a wolf")),
    Scale("wits", (("clever", "smart"), ("silly", "foolish")), ("a fox", "a goose")),
    Scale("moisture", (("wet", "damp"), ("dry", "arid")), ("rain", "sand")),
)

CATEGORIES: dict[str, tuple[str, ...]] = {
    "animal": ("dog", "cat", "horse", "cow", "sheep"),
    "fruit": ("plum", "pear", "peach", "grape", "melon"),
    "tool": ("hammer", "saw", "drill", "spade", "wrench"),
    "vehicle": ("car", "bus", "train", "boat", "truck"),
    "garment": ("coat", "hat", "shirt", "scarf", "glove"),
    "toy": ("ball", "doll", "kite", "drum", "puzzle"),
    "plant": ("rose", "tulip", "fern", "cactus", "lily"),
    "dish": ("soup", "cake", "stew", "pie", "salad"),
}

PEOPLE = (
    "Tom", "Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Iris",
    "Jack", "Kate", "Leo", "Mary", "Paul", "Rosa",
)  # fmt: skip
PLACES = (
    "garden", "market", "school", "kitchen", "park", "harbor", "library", "barn", "cellar", "hall",
)  # fmt: skip
JOBS = ("baker", "doctor", "farmer", "painter", "sailor", "teacher", "tailor", "miner")
TOWNS = ("Avon", "Brent", "Corby", "Derby", "Exeter", "Fowey", "Genoa", "Hull")

RELATIONS = ("identical", "same", "opposite", "unrelated")


@dataclass(frozen=True)
class World:
    """The words of the world and the seeded choices made about them."""

    seed: int
    train_scales: tuple[int, ...]  # indices into SCALES that fine-tuning sets may use
    test_scales: tuple[int, ...]  # the others: known from the corpus alone
    jobs: dict[str, str]  # person -> job
    homes: dict[str, str]  # person -> town

    def scales(self, split: str) -> tuple[int, ...]:
        """The scales that a split of a task may use: `train` or `test`."""
        return {"train": self.train_scales, "test": self.test_scales}[split]


def build_world(seed: int) -> World:
    """The world of this seed: which scales are held out, who does what and lives where."""
    rng = random.Random(f"pocket-world-{seed}")
    order = rng.sample(range(len(SCALES)), len(SCALES))
    half = len(SCALES) // 2
    jobs = list(JOBS) * (len(PEOPLE) // len(JOBS))
    homes = list(TOWNS) * (len(PEOPLE) // len(TOWNS))
    rng.shuffle(jobs)
    rng.shuffle(homes)
    return World(
        seed=seed,
        train_scales=tuple(sorted(order[:half])),
        test_scales=tuple(sorted(order[half:])),
        jobs=dict(zip(PEOPLE, jobs, strict=True)),
        homes=dict(zip(PEOPLE, homes, strict=True)),
    )


def category_of(thing: str) -> str:
    """The category a thing belongs to."""
    return next(name for name, members in CATEGORIES.items() if thing in members)


def synonym(word: str) -> str:
    """The other word at the same end of the adjective's scale."""
    for scale in SCALES:
        for end in scale.ends:
            if word in end:
                return end[1 - end.index(word)]
    raise KeyError(f"{word!r} is not an adjective of the pocket world")


def related_word(
    rng: random.Random, word: str, relation: str, scales: tuple[int, ...] | None = None
) -> str:
    """An adjective that has the `relation` to `word`; an unrelated one is from `scales`."""
    number, end = next(
        (i, end) for i, scale in enumerate(SCALES) for end in range(2) if word in scale.ends[end]
    )
    if relation == "identical":
        return word
    if relation == "same":
        return synonym(word)
    if relation == "opposite":
        return rng.choice(SCALES[number].ends[1 - end])
    other = rng.choice([i for i in scales or range(len(SCALES)) if i != number])
    return rng.choice(SCALES[other].ends[rng.randrange(2)])


def random_word(rng: random.Random, scales: tuple[int, ...] | None = None) -> str:
    """Any adjective of `scales` (default: all)."""
    return rng.choice(SCALES[rng.choice(scales or range(len(SCALES)))].ends[rng.randrange(2)])


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


# Stories: a handful of patterns over {p} and {q} (two people), {x} (a thing), {a_x} (the thing with
# its adjective), {syn_x} (the thing with a synonym of the adjective), {place}. A summary says the
# adjective in other words: only who knows the synonym can write it well.


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

    def summarize(self, **changed: str) -> str:
        """The story in one sentence; with some of its words changed, a wrong one."""
        return self.plot.summary.format(**{**self.words, **changed})


def tell(rng: random.Random, family: str, scales: tuple[int, ...] | None = None) -> Story:
    """A random story of a family of plots, its adjective from one of `scales` (default: all)."""
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
