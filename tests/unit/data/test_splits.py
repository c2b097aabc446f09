"""Parts of a split: which of them can hold the same row."""

import pytest

from ptft.data.rows import may_overlap


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("train", "test", False),
        ("train", "train", True),
        ("train[:8]", "train[8:]", False),
        ("train[:8]", "train[7:9]", True),
        ("train[8:]", "train", True),
        ("train[:10%]", "train[10%:]", False),
        ("train[:10%]", "train[10:]", True),  # it depends on how many there are
        ("train[:10]", "train[-10:]", True),
    ],
)
def test_overlap_is_told_where_it_is_possible(one, other, expected):
    assert may_overlap(one, other) == may_overlap(other, one) == expected
