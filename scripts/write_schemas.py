"""Write the JSON schemas and the table of keys.

Args:
    folder: of the schemas
    config_readme: gets a table of keys
"""

import json
from pathlib import Path

from ptft.runtime.programs import program
from ptft.study.key_table import with_table
from ptft.study.schema import SCHEMAS, Study

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "workflow" / "schemas"
CONFIG = ROOT / "config" / "README.md"


def rendered() -> dict[str, str]:
    """File name -> content of every schema, generated from the types."""
    files = {}
    for name, schema in SCHEMAS.items():
        tree = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        tree |= schema.model_json_schema(by_alias=True)
        files[f"{name}.schema.json"] = json.dumps(tree, indent=2, sort_keys=True) + "\n"
    return files


@program
def main(folder: Path = FOLDER, config_readme: Path = CONFIG) -> None:
    for name, content in rendered().items():
        (folder / name).write_text(content)
    text = config_readme.read_text(encoding="utf-8")
    config_readme.write_text(with_table(text, Study), encoding="utf-8")
