"""A version is raised when what it stands for changes; nobody has to remember it."""

import json
import shutil

import pytest
from version_digests import FILE, PROGRAMS, code_digest, version_digests

from ptft import versions


def test_every_version_stands_for_the_code_that_it_was_declared_for():
    declared, found = json.loads(FILE.read_text()), version_digests()
    changed = [name for name in found if found[name] != declared.get(name)]
    assert not changed, (
        f"what {' and '.join(changed)} stand for has changed since they were declared. If a "
        "result can be another one, raise the version in scripts/ptft/versions.py (the jobs that "
        "it stands for run again everywhere). Then, or at once where no result can change, run "
        "`make versions` and commit tests/unit/version_digests.json"
    )


def test_all_versions_are_held():
    assert set(PROGRAMS) == {name for name in vars(versions) if name.endswith("_VERSION")}


@pytest.fixture
def scripts(repository, tmp_path):
    shutil.copytree(repository / "scripts", tmp_path / "scripts")
    return tmp_path / "scripts"


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_words_and_places_do_not_count(scripts):
    before = code_digest("finetune_model", scripts)
    edit(scripts / "finetune_model.py", "threads: CPU threads", "threads: of the CPU")
    moved = scripts / "ptft/training/optimizer.py"
    edit(moved, "def ", "# a comment\n\n\ndef ")
    edit(moved, '"""', '"""Edited: ')
    edit(scripts / "ptft/files.py", "holds no examples", "is empty")
    moved.rename(scripts / "ptft/optimizer.py")
    for file in (scripts / "ptft/training").glob("*.py"):
        file.write_text(file.read_text().replace("ptft.training.optimizer", "ptft.optimizer"))
    assert code_digest("finetune_model", scripts) == before


@pytest.mark.parametrize(
    ("program", "module", "old", "new"),
    [
        ("finetune_model", "training/optimizer", "warmup", "warm_up"),
        ("finetune_model", "training/methods", 'or "all-linear"', 'or "q_proj"'),
        ("evaluate_model", "evaluation/metrics", "100_000", "100_001"),
        ("prepare_split", "data/mapping", "def ", "@print\ndef "),
        ("pretrain_checkpoint", "pocket/pretraining", "return", "return 2 *"),
    ],
)
def test_whatever_may_change_a_number_does(scripts, program, module, old, new):
    before = {name: code_digest(name, scripts) for name in PROGRAMS.values()}
    edit(scripts / f"ptft/{module}.py", old, new)
    after = {name: code_digest(name, scripts) for name in PROGRAMS.values()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed - {"collect_checks"} == {program}  # which checks prompts and answers of all
