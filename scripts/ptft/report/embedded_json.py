"""Data in script elements of a web page: no text in it can become code or markup."""

from __future__ import annotations

import base64
import json
import zlib

UNPACK = """async function unpacked() {
  const packed = atob(document.getElementById("data").textContent);
  const bytes = Uint8Array.from(packed, letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}
"""


def script_json(value: object) -> str:
    """JSON that can't end its script element or open a comment there.

    It is ASCII: U+2028 and U+2029, which end lines in old JavaScript, are escaped, too.
    """
    return json.dumps(value).replace("<", "\\u003c")


def packed_data(text: str, script: str) -> str:
    """A page's data, compressed, and the module that reads it with ``await unpacked()``.

    The compressed data has no time stamp: the same text gives the same bytes.
    """
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return f"""<script id="data" type="text/plain">{packed}</script>
<script type="module">{UNPACK}{script}</script>"""
