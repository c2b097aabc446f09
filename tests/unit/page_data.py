"""Data of the report's pages, read as a browser reads it."""

import base64
import re
import zlib


def page_data(page: str) -> str:
    """The text that a page holds compressed (``ptft.report.rendering.packed``)."""
    packed = re.search(r'<script id="data" type="text/plain">(.*)</script>', page)[1]
    return zlib.decompress(base64.b64decode(packed)).decode()
