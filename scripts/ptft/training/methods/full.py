"""Full fine-tuning: every weight is trained, on the completions of a template."""

from ptft.training.methods.base import Method


class Full(Method):
    """Full fine-tuning: trains every weight, as in the paper.

    The defaults of the interface, nothing else.
    """
