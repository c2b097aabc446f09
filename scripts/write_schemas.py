"""Write what the types say: JSON schemas of study, model and family files, config/README.md."""

import argparse
import json
from pathlib import Path

from ptft.runtime.programs import run_program
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


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the schemas")
    parser.add_argument("--config-readme", type=Path, default=CONFIG, help="gets a table of keys")
    args = parser.parse_args(argv)
    for name, content in rendered().items():
        (args.folder / name).write_text(content)
    text = args.config_readme.read_text(encoding="utf-8")
    args.config_readme.write_text(with_table(text, Study), encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
