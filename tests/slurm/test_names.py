"""Nothing of a config reaches a shell: names that hold more than a name are refused."""

import pytest
import yaml

from ptft.planning.site import Site, read_site
from ptft.study import StudyError, read_study

from ..workflow.conftest import make_clone

EVIL = [
    "$(touch x)",
    "`touch x`",
    "a b",
    "a'b",
    'a"b',
    "a;touch x",
    "a|b",
    "../x",
    "-x",
    "a\nb",
    "",
]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("study: cluster", "study: '$(touch x)'", "study"),
        ("model: tiny", "model: 'tiny;touch x'", "model"),
        ("[step4, step16]", "['step4', '`touch x`']", "checkpoints"),
        ("pocket_nli: {}", "'a b': {}", "finetune.full.tasks"),
        ("[pocket_nli, pocket_summary]", "['a\"b']", "evaluate.datasets"),
        ("formats: [default]", "formats: ['$(touch x)']", "evaluate.formats"),
        ("seeds: [0, 1]", "seeds: ['$(touch x)']", "finetune.full.seeds"),
        ("gpus: 1", "gpus: '1 --wrap x'", "compute.gpus"),
    ],
)
def test_a_study_with_an_evil_name_is_refused(repository, old, new, key):
    file = repository / "tests/studies/cluster.yaml"
    text = file.read_text()
    assert old in text
    evil = yaml.safe_load(text.replace(old, new))
    with pytest.raises(StudyError, match=f"cluster.yaml:.*{key}"):
        read_study(evil, [file], repository / "config")


@pytest.mark.slow
def test_nothing_of_an_evil_study_is_executed(repository, tmp_path):
    clone = make_clone(repository, tmp_path / "clone", "cluster")
    clone.edit("study.yaml", "study: cluster", "study: '$(touch x)'")
    clone.edit("study.yaml", "[step4, step16]", "['step4', '`touch x`']")
    output = clone.snakemake("-n", fails=True)
    assert "\nstudy.yaml:3: study = '$(touch x)'" in output
    assert not list(clone.root.rglob("x"))


@pytest.mark.parametrize("word", EVIL)
@pytest.mark.parametrize("key", ["account", "partition", "constraint", "qos"])
def test_words_for_sbatch_hold_nothing_that_a_shell_reads(tmp_path, key, word):
    if (key, word) == ("constraint", "a|b"):
        return  # Slurm's own syntax; the plugin quotes it
    file = tmp_path / "site.yaml"
    file.write_text(f"{key}: {word!r}\n" if "\n" not in word else f'{key}: "a\\nb"\n')
    with pytest.raises(StudyError, match=f"site.yaml:1: {key} = "):
        read_site(file)


@pytest.mark.parametrize("word", EVIL)
def test_names_of_gpus_and_modules_hold_nothing_that_a_shell_reads(tmp_path, word):
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump({"gpus": {word: {"memory_gb": 80, "speed": 1.0}}}))
    with pytest.raises(StudyError, match=r"site.yaml:\d: gpus\."):
        read_site(file)
    file.write_text(yaml.safe_dump({"modules": ["python/3.11", word]}))
    with pytest.raises(StudyError, match=r"site.yaml:\d: modules.1 = "):
        read_site(file)


def test_excluded_nodes_and_unknown_keys_are_checked(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text("exclude: ['n1,$(touch x)']\n")
    with pytest.raises(StudyError, match="exclude"):
        read_site(file)
    file.write_text("acount: lab\n")
    with pytest.raises(StudyError, match="unknown key 'acount'; did you mean 'account'"):
        read_site(file)


def test_what_a_site_asks_of_the_cluster(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(
        "account: lab\npartition: gpu\ncpu_partition: cpu\n"
        "constraint: 'a100&nvlink'\nexclude: [n1, n2]\n"
    )
    site = read_site(file)
    assert site.resources(gpus=1) == {
        "slurm_account": "lab",
        "slurm_partition": "gpu",
        "constraint": "a100&nvlink",
    }
    assert site.resources(gpus=0) == {"slurm_account": "lab", "slurm_partition": "cpu"}
    assert site.extra(40) == "--signal=TERM@40 --exclude=n1,n2"
    assert read_site(tmp_path / "none.yaml") == Site()
    assert Site().extra(40) == "--signal=TERM@40"


def test_the_example_of_a_site_is_valid(repository):
    assert read_site(repository / "slurm/site.example.yaml").exclude == ["node17", "node18"]
