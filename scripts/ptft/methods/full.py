"""Full fine-tuning: every weight is trained, on the completions of a template."""

from ptft.methods.base import Method


class Full(Method):
    """The paper's method: the defaults of the interface, nothing else."""
