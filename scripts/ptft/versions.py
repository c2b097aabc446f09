"""Versions of what decides results. Raise one when its code would give other numbers.

Snakemake does not see changes in an imported module; these stand in the rules' params, so that
raising one reruns exactly the jobs whose results would change. A test holds each to a digest of
what it stands for (`make versions`).
"""

DATA_VERSION = 2
"""rows of prepared splits"""
TRAINING_VERSION = 3
"""weights of fine-tuned models"""
SCORING_VERSION = 3
"""per-example results"""
POCKET_VERSION = 2
"""the pocket world, and the model that is pre-trained on its corpus"""
