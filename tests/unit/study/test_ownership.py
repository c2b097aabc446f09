"""Which study file results belong to."""

from pathlib import Path

import pytest
from small_study import STUDY, edit, write_study

from ptft.paths import Results
from ptft.study import StudyError, open_study
from ptft.study.load import LIBRARY, note_owner, require_own_results

RESULTS, FILE, OTHER = Results("small"), Path("study.yaml"), Path("b.yaml")


@pytest.fixture(autouse=True)
def folder(tmp_path, repository, monkeypatch):
    """Folder of the study, the working directory."""
    write_study(tmp_path, repository)
    monkeypatch.chdir(tmp_path)


def test_two_studies_of_one_name_do_not_share_results():
    require_own_results(RESULTS, [FILE])  # the first to come
    note_owner(RESULTS, [FILE])
    require_own_results(RESULTS, [FILE])
    OTHER.write_text("# mine\n" + STUDY)
    with pytest.raises(StudyError, match="^b.yaml:2: study: results of .* 'small' belong to study"):
        require_own_results(RESULTS, [OTHER])
    # An override of some keys is no other study, nor is a name that the command line gives.
    override = Path("override.yaml")
    override.write_text("checkpoints: [step4]\n")
    require_own_results(RESULTS, [FILE, override])
    require_own_results(RESULTS, [override])


@pytest.mark.parametrize("was", ["moved", "renamed inside"])
def test_a_study_file_that_was_moved_keeps_its_results(was):
    note_owner(RESULTS, [FILE])
    if was == "moved":
        FILE.rename(OTHER)
    else:
        OTHER.write_text(STUDY)
        edit(FILE, "study: small", "study: large")
    require_own_results(RESULTS, [OTHER])
    note_owner(RESULTS, [OTHER])
    assert Path(RESULTS.study_file).read_text() == "b.yaml"


def test_a_clone_in_a_folder_with_braces_is_refused(tmp_path):
    snakefile = tmp_path / "{x}" / "Snakefile"
    code = compile("open_study({}, [])", str(snakefile), "exec")
    with pytest.raises(SystemExit, match=r"/\{x\}: Snakemake takes braces in a workflow's folder"):
        exec(code, {"open_study": open_study})


def test_a_clone_that_finds_the_library_of_another_is_refused(tmp_path):
    (tmp_path / "scripts/ptft").mkdir(parents=True)
    code = compile("open_study({}, [])", str(tmp_path / "Snakefile"), "exec")
    asked = f"called with the library of {LIBRARY.parent}: .*PYTHONPATH={tmp_path}/scripts"
    with pytest.raises(SystemExit, match=asked):
        exec(code, {"open_study": open_study})
