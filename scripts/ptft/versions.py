"""Versions of what decides results. Raise one when its code would give other numbers.

Snakemake does not see changes in an imported module; these stand in the rules' params, so that
raising one reruns exactly the jobs whose results would change.
"""

DATA_VERSION = 2
TRAINING_VERSION = 2
SCORING_VERSION = 3
POCKET_VERSION = 1
