"""The pocket world: a few hundred English words and the relations between them.

All content of the corpus and the tasks is drawn from one `World`: adjectives on scales
(two words at each end: *synonyms*, against the other end: *opposites*), things in categories, and
people with a job and a home. The world is small on purpose: a model of 0.4 M parameters must be
able to learn it in minutes.

The scales are split into two halves by the seed. Fine-tuning sets use one half, test sets the
other: what relates two test words can only have been learned in pre-training.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """What two adjectives can be opposites on: its name, and two ends of two synonyms each."""

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
        """The scales that a split of a task may use: `train`, `test`, or `corpus` (all)."""
        if split == "corpus":
            return tuple(range(len(SCALES)))
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
