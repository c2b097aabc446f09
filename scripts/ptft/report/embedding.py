"""Data inside a web page's script elements: whatever the text holds, it stays data."""

from __future__ import annotations

import json
import re

# What Snakemake's report keeps in scripts of its own, a line each.
REPORT_DATA = (
    "workflow_desc",
    "results",
    "categories",
    "rulegraph_spec",
    "runtimes_spec",
    "timeline_spec",
    "rules",
    "packages",
    "metadata",
)


def script_json(value: object) -> str:
    """JSON that can't end the script element it stands in, nor open a comment there."""
    return json.dumps(value).replace("<", "\\u003c")


def escape_report(page: str) -> str:
    """Snakemake's report with all its data as :func:`script_json` writes it.

    Snakemake (9) writes them as they are, so that ``</script>`` in a job's parameters or in a
    file name ends the script and what follows is part of the page.

    Raises:
        ValueError: the page does not look as this version of Snakemake makes it.
    """
    for name in REPORT_DATA:
        line = re.compile(rf'(<script id="[a-z-]+">\n *var {name} = )(.*);$', re.M)
        if len(line.findall(page)) != 1:
            raise ValueError(f"Snakemake's report has no single script `var {name} = …;`")
        page = line.sub(lambda found: f"{found[1]}{script_json(json.loads(found[2]))};", page)
    return page
