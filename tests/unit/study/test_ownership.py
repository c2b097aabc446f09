"""Which study file results belong to."""

from pathlib import Path

import pytest
from small_study import STUDY, edit, write_study

from ptft.study import StudyError
from ptft.study.ownership import note_owner, require_own_results, results_elsewhere


@pytest.fixture
def files(tmp_path, repository):
    """Folder of the study."""
    write_study(tmp_path, repository)
    return tmp_path


def test_two_studies_of_one_name_do_not_share_results(files, monkeypatch):
    monkeypatch.chdir(files)
    record, study, other = (
        Path("results/small/state/study_file"),
        Path("study.yaml"),
        Path("b.yaml"),
    )
    require_own_results(record, "small", [study])  # the first to come
    note_owner(record, "small", [study])
    require_own_results(record, "small", [study])
    other.write_text("# mine\n" + STUDY)
    with pytest.raises(StudyError) as refusal:
        require_own_results(record, "small", [other])
    assert str(refusal.value) == (
        "b.yaml:2: study: results of the name 'small' belong to study.yaml; rename one of the two "
        "studies, or remove that file if this one takes its place"
    )
    # An override of some keys is no other study, nor is a name that the command line gives.
    override = files / "override.yaml"
    override.write_text("checkpoints: [step4]\n")
    require_own_results(record, "small", [study, override])
    require_own_results(record, "small", [override])


def test_a_study_called_from_another_folder_than_before(files, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    results = Path("results/small")
    monkeypatch.chdir(files)
    results.mkdir(parents=True)
    assert results_elsewhere(results, files) == []
    monkeypatch.chdir(elsewhere)
    assert results_elsewhere(results, files) == [
        f"results/small is in {files}; this run begins another in {elsewhere}, where snakemake was "
        "called"
    ]
    results.mkdir(parents=True)
    assert results_elsewhere(results, files) == []


@pytest.mark.parametrize("was", ["moved", "renamed inside"])
def test_a_study_file_that_was_moved_keeps_its_results(files, monkeypatch, was):
    monkeypatch.chdir(files)
    record, study, other = (
        Path("results/small/state/study_file"),
        Path("study.yaml"),
        Path("b.yaml"),
    )
    note_owner(record, "small", [study])
    if was == "moved":
        study.rename(other)
    else:
        other.write_text(STUDY)
        edit(study, "study: small", "study: large")
    require_own_results(record, "small", [other])
    note_owner(record, "small", [other])
    assert record.read_text() == "b.yaml"
