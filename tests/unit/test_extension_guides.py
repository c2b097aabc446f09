"""Guides to a method, a remedy, a table and a scoring method, each followed in a copy."""

import json
import re
import shutil
import subprocess

import jsonschema
import pytest
import yaml
from guides import follow


@pytest.fixture
def checkout(repository, tmp_path):
    """The files under version control, and those that are about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=repository, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in listed.splitlines():
        if name.startswith(("scripts/", "tests/", "workflow/", "config/", "Makefile", "pyproject")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            if (repository / name).is_file():
                shutil.copy(repository / name, tmp_path / name)
    return tmp_path


def asked_for(guide):
    """The part of a study that a guide ends with."""
    return yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```$", guide, re.M | re.S)[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "part", "files"),
    [
        ("methods", "Finetune", 2),
        ("remedies", "Finetune", 3),
        ("scoring", "Evaluation", 4),
        ("tables", None, 6),
    ],
)
def test_the_guide_works_as_written(repository, checkout, name, part, files):
    guide = (repository / f"docs/{name}.md").read_text(encoding="utf-8")
    assert len(follow(guide, checkout)) == files
    if part:
        schema = json.loads((checkout / "workflow/schemas/study.schema.json").read_text())
        [content] = asked_for(guide).values()
        jsonschema.validate(content, {"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]})
        old = json.loads((repository / "workflow/schemas/study.schema.json").read_text())
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content, {"$ref": f"#/$defs/{part}", "$defs": old["$defs"]})
