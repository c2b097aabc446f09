"""A small study with a family and a model of its own, for tests that make mistakes in it."""

from pathlib import Path

STUDY = """\
study: small
model: tiny
checkpoints: [step4, step16]
root: resources/pocket
finetune:
  full:
    settings: {epochs: 1, lr: 1.0e-3}
    tasks:
      pocket_nli: {lr: 5.0e-4}
      own: {}
    seeds: [0, 1]
evaluate:
  datasets: [pocket_nli, own, pocket_summary, pocket_facts]
  formats: [default, io]
  shots: [0, 2]
"""
FAMILY = """\
kind: classification
labels: ["no", "yes"]
formats:
  default: "{text}:"
  io: "{text}"
tasks:
  own: {dataset: own, in_domain: [own]}
datasets:
  own:
    files: {rows: rows.jsonl}
    splits: {train: "rows[:8]", test: "rows[8:]"}
    fields: {text: text}
    label: {column: label, values: {0: "no", 1: "yes"}}
"""
MODEL = """\
source:
  kind: pocket
  pretraining: {steps: [4, 8, 16], total_steps: 16}
"""
OWN = "families/own.yaml"


def write_study(folder: Path, repository: Path) -> None:
    """Write the study, its family and its model, beside three of the workflow's families."""
    for name in ("families", "models", "config/families"):
        (folder / name).mkdir(parents=True)
    for name in ("nli", "summarization", "completion"):
        family = f"config/families/{name}.yaml"
        (folder / family).symlink_to(repository / family)
    for name, text in {
        "study.yaml": STUDY,
        "families/own.yaml": FAMILY,
        "models/tiny.yaml": MODEL,
    }.items():
        (folder / name).write_text(text)


def edit(path: Path, old: str, new: str) -> None:
    """Replace the first of a piece of a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


QUIZ = """\
kind: multiple_choice
formats: {default: "{text} {choice}"}
datasets:
  quiz:
    repository: me/quiz
    splits: {shots: train, test: test}
    fields: {text: text}
    choices: options
    continuation: rest
    answer: {column: answer}
"""
