"""Check the data that models are scored on, or trained on; a refusal ends in an error.

Args:
    plan: the check's slice, JSON file
    data: folder of prepared datasets
    tokenizer: the study's, as take_tokenizer.py left it
    output: what was counted, JSON file
"""

import json
from pathlib import Path

from ptft.runtime.programs import program


@program
def main(plan: Path, data: Path, tokenizer: Path, output: Path) -> None:
    from ptft.audit.tables import run_check

    found = json.dumps(run_check(plan, data, tokenizer), indent=1, ensure_ascii=False)
    output.write_text(f"{found}\n", encoding="utf-8")
