"""Nothing of a config reaches a shell: names that hold more than a name are refused."""

import pytest
import yaml

from ptft.study import StudyError, read_study


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
        ("gpus: 1", "gpus: 1, gpu_models: {'a100;x': 80}", "GPU model"),
    ],
)
def test_a_study_with_an_evil_name_is_refused(repository, old, new, key):
    file = repository / "tests/studies/cluster.yaml"
    text = file.read_text()
    assert old in text
    evil = yaml.safe_load(text.replace(old, new))
    with pytest.raises(StudyError, match=f"cluster.yaml:.*{key}"):
        read_study(evil, [file], repository / "config")
