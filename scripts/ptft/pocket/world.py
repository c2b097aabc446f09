"""The pocket world: a few hundred English words and the relations between them.

Everything that the corpus tells and the tasks ask is drawn from one `World`: adjectives on scales
(two words at each end: *synonyms*, against the other end: *opposites*), things in categories, and
people with a job and a home. The world is small on purpose: a model of 0.4 M parameters must be
able to learn it in minutes.

The scales are split into two halves by the seed. Fine-tuning sets use one half, test sets the
other: what relates two test words can only have been learned in pre-training.
"""

import random
from dataclasses import dataclass

# (synonyms at one end, synonyms at the other end). No word stands on two scales.
SCALES: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (("big", "large"), ("small", "little")),
    (("fast", "quick"), ("slow", "sluggish")),
    (("hot", "warm"), ("cold", "chilly")),
    (("old", "ancient"), ("new", "modern")),
    (("clean", "tidy"), ("dirty", "filthy")),
    (("loud", "noisy"), ("quiet", "silent")),
    (("strong", "sturdy"), ("weak", "feeble")),
    (("bright", "shiny"), ("dark", "dim")),
    (("kind", "gentle"), ("cruel", "harsh")),
    (("clever", "smart"), ("silly", "foolish")),
    (("wet", "damp"), ("dry", "arid")),
    (("cheap", "budget"), ("costly", "pricey")),
    (("full", "packed"), ("empty", "bare")),
    (("thin", "slim"), ("thick", "fat")),
    (("safe", "secure"), ("risky", "unsafe")),
    (("smooth", "even"), ("rough", "bumpy")),
    (("pretty", "lovely"), ("ugly", "hideous")),
    (("common", "typical"), ("rare", "strange")),
    (("happy", "glad"), ("sad", "gloomy")),
    (("famous", "known"), ("obscure", "unknown")),
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

RELATIONS = ("same", "opposite", "unrelated")


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
        for end in scale:
            if word in end:
                return end[1 - end.index(word)]
    raise KeyError(f"{word!r} is no adjective of the pocket world")


def related_pair(rng: random.Random, relation: str, scales: tuple[int, ...]) -> tuple[str, str]:
    """Two different adjectives that stand in `relation` to one another.

    Each adjective of `scales` is equally likely at either place under every relation, so that one
    word alone says nothing about the relation.
    """
    first, second = rng.sample(scales, 2)
    end = rng.randrange(2)
    if relation == "same":
        a, b = rng.sample(SCALES[first][end], 2)
        return a, b
    word = rng.choice(SCALES[first][end])
    if relation == "opposite":
        return word, rng.choice(SCALES[first][1 - end])
    return word, rng.choice(SCALES[second][rng.randrange(2)])
