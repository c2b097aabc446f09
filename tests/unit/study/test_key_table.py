"""config/README.md names every key of a study, as the types have them."""

import re

import yaml

from ptft.study.key_table import with_table
from ptft.study.schema import Study
from ptft.training.methods import METHODS


def test_the_table_is_that_of_the_types(repository):
    text = (repository / "config/README.md").read_text(encoding="utf-8")
    assert text == with_table(text, Study), "config/README.md has drifted: run `make schemas`"


def test_every_key_of_the_studies_is_in_the_table_and_defaults_can_be_written(repository):
    table = (repository / "config/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+)` \| (.*?) \| (.*?) \| ", table, re.M)
    keys = {key for key, _, _ in rows}
    assert len(keys) == len(rows) > 50
    for path in repository.glob("config/*.yaml"):
        study = yaml.safe_load(path.read_text())
        if "published" in study:
            continue
        for name, part in study.items():
            assert name in keys, (path, name)
            if name not in ("finetune", "checkpoints") and isinstance(part, dict):
                assert {f"{name}.{key}" for key in part} <= keys, path
    assert {f"finetune.{method}" for method in METHODS} < keys
    defaults = {key: yaml.safe_load(found.strip("`")) for key, _, found in rows if "`" in found}
    assert defaults["finetune.full.settings.lr"] == 2e-6
    assert defaults["data.seed"] == 42 and defaults["finetune.METHOD.seeds"] == [0]
