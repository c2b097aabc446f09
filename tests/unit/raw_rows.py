"""Raw rows in the Hub's layout: those at hand, and some made by hand where these lack it."""

from pathlib import Path

# HellaSwag as on the Hub: WikiHow texts with their marks, ActivityNet texts with a fragment.
HELLASWAG = [
    {
        "ind": 1,
        "activity_label": "Home and Garden",
        "ctx_a": "[header] How to oil a hinge [title] Lift the door. [step] Ask  for help.",
        "ctx_b": "",
        "endings": [
            "[header] Put it on the floor. [step] Mind the paint.",
            "Paint it. [substeps] Wait until it is dry.",
            "Oil it [title] Hang it again.",
            "Sell it.",
        ],
        "label": "2",
    },
    {
        "ind": 2,
        "activity_label": "Washing a car",
        "ctx_a": "A man fills a bucket. He walks to a Car.",
        "ctx_b": "the OLD man",
        "endings": [" sings.", "washes it, and smiles.", "eats the bucket.", "swims."],
        "label": "1",
    },
]


def read_raw(shared: Path, name: str, description: dict, split: str) -> list[dict]:
    """Rows of a split as the Hub has them."""
    from ptft.data.rows import read_rows

    rows = read_rows(shared / "hub", description, split)
    if name != "hellaswag":
        return rows
    # The copy at hand is cleaned and joined: undo that, as far as it goes.
    return [
        {**row, "ctx": f"{row['ctx_a']} {row['ctx_b']}".strip()}
        for row in [*HELLASWAG, *map(_parted, rows)]
    ]


def _parted(row: dict) -> dict:
    """A HellaSwag row with its open last sentence as the fragment that it was."""
    context, _, last = row["ctx"].rpartition(". ")
    if context and last[-1] not in '.!?"':
        return {**row, "ctx_a": context + ".", "ctx_b": last[:1].lower() + last[1:]}
    return {**row, "ctx_a": row["ctx"], "ctx_b": ""}
