"""A task of lm-evaluation-harness whose rows are on the Hub: pinned, fetched, read from there."""

import io
import json
import re
from pathlib import Path

import pytest
from pyarrow import Table, parquet
from server import Repository

from ptft import paths
from ptft.files import read_all
from ptft.hub.fetch import fetch
from ptft.hub.harness import resolve_tasks
from ptft.hub.resolve import resolve_split

TASK = """\
task: quiz
dataset_path: org/quiz
dataset_kwargs: {trust_remote_code: true}
training_split: train
validation_split: validation
output_type: multiple_choice
doc_to_text: "{{question}}?"
doc_to_choice: ["no", "yes"]
doc_to_target: answer
metric_list: [{metric: acc}]
"""


def rows(name: str, count: int) -> bytes:
    file = io.BytesIO()
    columns = {"question": [f"{name} {at}" for at in range(count)], "answer": [1] * count}
    parquet.write_table(Table.from_pydict(columns), file)
    return file.getvalue()


@pytest.mark.slow
def test_rows_come_from_the_pinned_files(hub, tmp_path, monkeypatch):
    from ptft.evaluation.harness import prepare_task

    monkeypatch.chdir(tmp_path)
    Path("tasks").mkdir()
    Path("tasks/quiz.yaml").write_text(TASK)
    files = {f"plain/{split}-00000-of-00001.parquet": rows(split, 5) for split in ("train", "test")}
    files["plain/validation-00000-of-00001.parquet"] = rows("asked", 3)
    hub.datasets["org/quiz"] = Repository({"main": files})
    found = resolve_tasks(["quiz"], "tasks")["tasks"]["quiz"]
    spec = {**found, "root": paths.HUB, "limit": 2}

    def fetched(split):
        pin = resolve_split(found["repository"], found["config"], split, None)
        fetch(pin, Path(paths.hub_split(found["repository"], found["config"], split)))

    fetched("validation")
    asked = hub.requests.total()
    prepare_task({**spec, "shots": 0}, "quiz", Path("none.jsonl"), Path("audit.json"))
    assert [row["fields"]["prompt"] for row in read_all(Path("none.jsonl"))] == [
        "asked 0?",
        "asked 1?",
    ]
    assert hub.requests.total() == asked
    with pytest.raises(ValueError, match="task quiz: can't be built: .*'train'"):
        prepare_task({**spec, "shots": 1}, "quiz", Path("one.jsonl"), Path("audit.json"))
    fetched("train")
    prepare_task({**spec, "shots": 1}, "quiz", Path("one.jsonl"), Path("audit.json"))
    for at, row in enumerate(read_all(Path("one.jsonl"))):
        assert row["fields"]["prompt"].startswith("train ")
        assert row["fields"]["prompt"].endswith(f"? yes\n\nasked {at}?")
        assert row["gold"] == 1 and row["choices"] == ["no", "yes"]
        assert row["requests"] == [[None, " no"], [None, " yes"]]


@pytest.mark.slow
def test_the_guide_to_a_task_of_ones_own_works_as_written(repository, tmp_path, monkeypatch):
    from ptft.evaluation.harness import prepare_task

    monkeypatch.chdir(tmp_path)
    guide = (repository / "docs/harness.md").read_text()
    [[name, text]] = re.findall(r"```yaml\n# (my_tasks/\S+)\n(.+?)```", guide, re.DOTALL)
    Path("my_tasks").mkdir()
    Path(name).write_text(text)
    for split, answer in (("train", "red"), ("test", "blue")):
        row = {"question": f"A colour of {split}?", "answer": answer}
        Path(f"my_tasks/{split}.jsonl").write_text(f"{json.dumps(row)}\n")
    task = resolve_tasks(["colours"], "my_tasks")["tasks"]["colours"]
    for shots in (0, 1):
        spec = {**task, "shots": shots, "limit": None}
        prepare_task(spec, "colours", Path("out.jsonl"), Path("audit.json"))
        [row] = read_all(Path("out.jsonl"))
        shown = "A colour of train? red\n\n" * shots
        assert row["fields"]["prompt"] == f"{shown}A colour of test?"
        assert (row["choices"], row["gold"]) == (["red", "green", "blue"], 2)
        assert row["requests"] == [[None, " red"], [None, " green"], [None, " blue"]]
