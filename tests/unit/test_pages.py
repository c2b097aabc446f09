"""Table pages: whole, escaped, loading nothing. How they behave is tested in a browser."""

import base64
import re

import polars as pl

from ptft.pages import table_page


def test_page_holds_the_whole_table_and_no_markup_of_its_content():
    table = pl.DataFrame({"a<b": ["</script><b>", None], "value": [0.123456789, None]})
    page = table_page(table, "t&t", "about <x>")
    assert page.count("</script>") == 2
    assert "a&lt;b" in page and "<title>t&amp;t</title>" in page and "about &lt;x&gt;" in page
    csv = base64.b64decode(re.search(r"base64,([^\"]+)\"", page)[1]).decode()
    assert csv == table.write_csv()
    assert not re.search(r"(src|href)=\"(http|//)", page)
