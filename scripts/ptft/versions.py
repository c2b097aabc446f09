"""Versions of the code that decides results. Raise one when its results can change.

Snakemake does not see changes in an imported module; these are in the rules' params, so that
raising one reruns exactly the jobs whose results could change. A test compares each with a
digest of its code (`make versions`).
"""

DATA_VERSION = 3
"""rows of prepared splits"""
TRAINING_VERSION = 3
"""weights of fine-tuned models"""
SCORING_VERSION = 4
"""per-example results"""
POCKET_VERSION = 3
"""the pocket world, and the model that is pre-trained on its corpus"""
CHECKS_VERSION = 1
"""what the checks of data and prompts count; what they refused before trains nothing again"""


def stages() -> dict[str, int]:
    """Stage -> its version, as it is now."""
    return {
        "data": DATA_VERSION,
        "training": TRAINING_VERSION,
        "scoring": SCORING_VERSION,
        "pocket": POCKET_VERSION,
        "checks": CHECKS_VERSION,
    }
