"""JSON inside a script element: nothing in it ends the script, opens a comment or a line."""

import json

from page_data import page_data

from ptft.report.embedded_json import packed_data, script_json


def test_texts_stay_data_and_stay_what_they_are():
    hostile = {"</script>": ["<!--<script>", "a\u2028b\u2029c", "評価", 1.5, None]}
    text = script_json(hostile)
    assert text.isascii() and "<" not in text
    assert json.loads(text) == hostile


def test_packed_texts_are_small_letters_and_come_back():
    hostile = "</script><!--<script>\u2028 評価 " * 100
    elements = packed_data(hostile, "read();")
    assert elements.isascii() and elements.count("</script>") == 2 and "<!--" not in elements
    assert page_data(elements) == hostile and len(elements) < 1000
    assert elements == packed_data(hostile, "read();")
