"""JSON inside a web page's script element: whatever a text holds, it stays data."""

from __future__ import annotations

import json


def script_json(value: object) -> str:
    """JSON that can't end the script element it stands in, nor open a comment there.

    Only ASCII: U+2028 and U+2029, which end lines in old JavaScript, are escaped, too.
    """
    return json.dumps(value).replace("<", "\\u003c")
