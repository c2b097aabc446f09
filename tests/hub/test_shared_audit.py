"""The audit of real rows under OLMo's own tokenizer, as the paper's study would have it."""

import pytest
import yaml
from slice_files import slice_file

from ptft.audit.checks import check_scored, check_trained
from ptft.audit.tables import audit_tables
from ptft.data.rows import read_rows
from ptft.hub.fetch import fetch
from ptft.hub.resolve import resolve_split
from ptft.study import read_study
from ptft.study.slices import (
    checked_trainings,
    checks_slice,
    scored_slice,
    split_slice,
    trained_slice,
)

pytestmark = pytest.mark.shared

STUDY = """\
study: real
model: olmo-1b
checkpoints: [main]
root: {root}
finetune:
  full: {{tasks: {{mnli: {{}}, xsum: {{}}, paws: {{}}}}}}
evaluate:
  datasets: [mnli_matched, mnli_mismatched, rte, xsum, paws, qqp, arc_easy]
  formats: [default]
  shots: [0, 4, 6]
  family_shots: {{multiple_choice: [0]}}
data: {{train: 2000, test: 200}}
"""


@pytest.fixture(scope="module")
def tables(shared, repository, tmp_path_factory):
    """(splits, prompts) of the audit."""
    from transformers import AutoTokenizer

    import prepare_split

    folder = tmp_path_factory.mktemp("real")
    text = STUDY.format(root=shared / "hub")
    grid = read_study(yaml.safe_load(text), [folder / "study.yaml"], repository / "config")
    for dataset, split in grid.splits():
        place = folder / dataset
        place.mkdir(exist_ok=True)
        argv = ["--root", grid.study.root, "--name", f"{dataset}-{split}"]
        argv += ["--spec", slice_file(place / "slice.json", split_slice(grid, dataset, split))]
        argv += ["--output", str(place / f"{split}.jsonl")]
        prepare_split.main([*argv, "--audit", str(place / f"{split}.audit.json")])
    tokenizer = AutoTokenizer.from_pretrained(shared / "hub/models/allenai/OLMo-1B-hf")
    place, about = (folder, tokenizer, 2048), checks_slice(grid)
    checks = [check_scored(scored_slice(grid, name), *place) for name in grid.datasets]
    checks += [check_trained(trained_slice(grid, name), *place) for name in checked_trainings(grid)]
    return audit_tables(checks, about["splits"], about["sources"], folder)


def test_long_prompts_of_xsum_are_counted(tables):
    """Four shots of the seeded draw just fit OLMo's 2,048 tokens, six do not."""
    _, prompts = tables
    xsum = prompts.filter(dataset="xsum").select("shots", "prompts", "tokens_max", "truncated")
    assert xsum.rows() == [(0, 200, 707, 0), (4, 200, 1965, 0), (6, 200, 1988, 85)]
    assert prompts.filter(prompts["dataset"] != "xsum")["truncated"].sum() == 0


def test_no_evaluated_row_is_a_shot_or_trained_on(tables):
    splits, _ = tables
    test = splits.filter(split="test")
    assert test["also_in_shots"].sum() == test["also_in_train"].sum() == 0
    assert (test["warning"] == "").all()
    qqp = test.filter(dataset="qqp").to_dicts()[0]
    assert (qqp["rows"], qqp["used"]) == (436, 200)
    mnli = test.filter(dataset="mnli_mismatched").to_dicts()[0]
    assert mnli["dropped"] == "no gold label 16"


def test_every_split_of_the_families_comes_through_the_client(hub, shared, repository, tmp_path):
    """Real data sets, served as the Hub would, resolved, fetched and read."""
    import golden

    hub.serve_folder(shared / "hub")
    seen = set()
    for _, family, dataset in golden.datasets():
        spec = family.datasets[dataset]
        for expression in filter(None, (spec.splits.train, spec.splits.shots, spec.splits.test)):
            split = expression.split("[")[0]
            source = shared / "hub/datasets" / spec.repository / spec.config
            key = (spec.repository, spec.config, split)
            if key in seen or not list(source.glob(f"{split}-*.parquet")):
                continue
            seen.add(key)
            target = tmp_path / "datasets" / spec.repository / spec.config / split
            fetch(resolve_split(*key, None), target)
            description = {"repository": spec.repository, "config": spec.config}
            rows = read_rows(tmp_path, description, f"{split}[:20]")
            assert rows == read_rows(shared / "hub", description, f"{split}[:20]")
    assert len(seen) == 32
