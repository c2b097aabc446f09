"""Windows of a text by hand; tests/parity/test_text_harness.py has the harness's."""

from ptft.prompts.windows import Window, rolling_windows


def test_windows_by_hand():
    ids = [11, 12, 13, 14, 15, 16, 17]
    assert list(rolling_windows(ids, 0, 4, 4)) == [
        Window([0, 11, 12, 13], [11, 12, 13, 14]),
        Window([13, 14, 15, 16], [15, 16, 17]),  # the last one reaches back for a full window
    ]
    assert list(rolling_windows(ids, 0, 4, 2)) == [
        Window([0, 11, 12, 13], [11, 12, 13, 14]),
        Window([12, 13, 14, 15], [15, 16]),
        Window([13, 14, 15, 16], [17]),
    ]
    assert list(rolling_windows([5], 0, 4, 2)) == [Window([0], [5])]
    assert list(rolling_windows([], 0, 4, 2)) == []
