"""JSON inside a script element: nothing in it ends the script, opens a comment or a line."""

import json

from ptft.report.embedded_json import script_json


def test_texts_stay_data_and_stay_what_they_are():
    hostile = {"</script>": ["<!--<script>", "a\u2028b\u2029c", "評価", 1.5, None]}
    text = script_json(hostile)
    assert text.isascii() and "<" not in text
    assert json.loads(text) == hostile
