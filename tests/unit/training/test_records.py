"""Whether a training learned, judged by its own examples: values by hand."""

import math

import numpy as np
import pytest

from ptft.training.examples import Example
from ptft.training.losses import constant_loss
from ptft.training.records import verdict


def labelled(labels):
    """Examples of two tokens of context, a label and an end."""
    return [
        Example(str(place), np.array([5, 6, label, 0]), np.array([False, False, True, True]))
        for place, label in enumerate(labels)
    ]


@pytest.mark.parametrize("weighting", ["example", "token"])
def test_the_constant_answer_knows_how_often_a_label_occurs(weighting):
    """Of three labels alike ln 3, half of it a token, since the end is certain; of one, nothing."""
    thirds = labelled([7, 8, 9] * 5)
    assert constant_loss(thirds, weighting) == pytest.approx(math.log(3) / 2)
    skewed = labelled([7] * 12 + [8] * 4)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert constant_loss(skewed, weighting) == pytest.approx(entropy / 2)
    assert constant_loss(labelled([7] * 12), weighting) == 0


def test_answers_that_differ_have_no_constant_one():
    assert constant_loss(labelled(range(7, 17)), "example") is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"final": 0.01, "start": 3.0, "constant": 0.55}, "learned"),
        ({"final": 0.50, "start": 3.0, "constant": 0.55}, "constant"),
        ({"final": 0.49, "start": 3.0, "constant": 0.55}, "learned"),
        ({"final": 0.56, "start": 3.0, "constant": 0.55, "exact": 1.0}, "learned"),  # but unsure
        ({"final": 0.56, "start": 3.0, "constant": 0.55, "exact": 0.6}, "constant"),
        ({"final": 1.8, "start": 2.0}, "learned"),  # a text: nothing constant to compare with
        ({"final": 2.0, "start": 2.0}, "no lower"),
        ({"final": math.nan, "start": 2.0}, "no lower"),
        ({"final": 1.0, "start": 2.0, "moved": False}, "not moved"),
    ],
)
def test_verdicts(given, expected):
    assert verdict(**given) == expected
