"""Tuned models of others: what is adopted, named and refused; the guide, followed."""

import json
import re
import shutil

import pytest
import yaml
from safetensors.torch import load_file, save_file
from server import HubServer, Repository
from test_hub_workflow import FAMILY, STUDY, Study, parquet
from tiny import save_tiny_checkpoint

from ptft.hub.adopt import RECORD, adopt
from ptft.models.loading import load_model

NAME = "model.embed_tokens.weight"
TASKS = "tasks:\n  talk: {dataset: words, in_domain: [words]}\n"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint, a model tuned from it, and an adapter of it."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("adopt")
    checkpoint = save_tiny_checkpoint(folder / "checkpoint")
    tuned = shutil.copytree(checkpoint, folder / "tuned")
    change(tuned, lambda weights: weights[NAME].mul_(1.5))
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(load_model(checkpoint), config).save_pretrained(folder / "adapter")
    return folder


def change(folder, edit):
    """Edit a folder's weights."""
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture
def theirs(folders, tmp_path):
    return shutil.copytree(folders / "tuned", tmp_path / "theirs")


def differences(folders, source, tmp_path):
    (tmp_path / "about.json").write_text('{"task": "talk"}')
    adopt(source, folders / "checkpoint", tmp_path / "arm", tmp_path / "about.json")
    return json.loads((tmp_path / "arm" / RECORD).read_text())["differences"]


def test_whole_weights_and_adapters_are_linked(folders, theirs, tmp_path):
    assert differences(folders, theirs, tmp_path) == []
    made = tmp_path / "arm/model.safetensors"
    assert made.samefile(theirs / made.name)
    (theirs / "tokenizer.json").unlink()
    (theirs / "tokenizer_config.json").unlink()
    assert "the checkpoint's is taken" in differences(folders, theirs, tmp_path)[0]
    assert (tmp_path / "arm/tokenizer.json").samefile(folders / "checkpoint/tokenizer.json")
    assert differences(folders, folders / "adapter", tmp_path) == []
    assert {path.name for path in (tmp_path / "arm").iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", RECORD,
    }  # fmt: skip


def test_what_differs_and_stays_is_named(folders, theirs, tmp_path):
    config = json.loads((theirs / "config.json").read_text())
    longer = config | {"max_position_embeddings": 999, "_name_or_path": "x", "pad_token_id": 0}
    (theirs / "config.json").write_text(json.dumps(longer))
    (theirs / "chat_template.jinja").write_text("{{ messages }}")
    found = differences(folders, theirs, tmp_path)
    was = config["max_position_embeddings"]
    assert found == [
        f"config.json has max_position_embeddings: 999, not {was}",
        "a chat template of its own",
    ]


def swap_two_words(folder):
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = content["model"]["vocab"]
    one, other = [word for word in vocabulary if word.isalpha()][:2]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (swap_two_words, "has another vocabulary than"),
        (
            lambda folder: change(folder, lambda own: own.update({NAME: own[NAME][:4].clone()})),
            f"the shape of {NAME} is ",
        ),
        (
            lambda folder: (folder / "config.json").write_text(
                (folder / "config.json").read_text().replace('"model_type": "', '"model_type": "x')
            ),
            "has model_type 'x",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "is not a model folder"),
    ],
)
def test_another_model_is_refused(folders, theirs, tmp_path, edit, sentence):
    edit(theirs)
    with pytest.raises(ValueError, match=sentence):
        adopt(theirs, folders / "checkpoint", tmp_path / "arm", tmp_path / "none.json")
    assert not (tmp_path / "arm").exists()


def test_an_adapter_of_a_wider_model_is_refused(folders, tmp_path):
    wider = save_tiny_checkpoint(tmp_path / "wider", hidden_size=64)
    with pytest.raises(ValueError, match="is no adapter of .* changes a matrix"):
        adopt(folders / "adapter", wider, tmp_path / "arm", tmp_path / "none.json")


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.slow
def test_the_guide_on_a_hub(folders, tmp_path, repository):
    guide = (repository / "docs/derived.md").read_text().split("## Adopted arms")[1]
    [text] = re.findall(r"```yaml\n(.*?)```", guide.split("## Snapshots")[0], re.S)
    adopted = text.replace("task: tulu", "task: talk")
    names = {name: spec for name, spec in yaml.safe_load(adopted)["adopt"].items()}
    with HubServer() as server:
        server.models["org/model"] = Repository({"main": files(folders / "checkpoint")})
        for name, folder in (("sft", "tuned"), ("rl", "adapter")):
            server.models[names[name]["repository"]] = Repository({"main": files(folders / folder)})
        server.datasets["org/words"] = Repository(
            {
                "main": {
                    "data/train/0.parquet": parquet(20, 1, tmp_path),
                    "data/validation/0.parquet": parquet(20, 2, tmp_path),
                }
            }
        )
        study = Study(tmp_path, repository, server.endpoint)
        shutil.copytree(folders / "tuned", tmp_path / names["mine"]["path"])
        family = FAMILY.replace("shots: train", "shots: train, train: train") + TASKS
        (tmp_path / "families/words.yaml").write_text(family)
        whole = STUDY.replace("[step1, main]", "[main]").replace("evaluate:", f"{adopted}evaluate:")
        (tmp_path / "study.yaml").write_text(whole)
        study.run("fetch")
        records = [f"results/remote/state/scored/main/{name}.json" for name in names]
        # All else needs no network.
        output = study.run(*records, HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    assert "Fine-tune" not in output
    cells = [
        (
            tmp_path / f"results/remote/evaluations/main/{name}/words.default.2shot.parquet"
        ).read_bytes()
        for name in ("sft", "mine", "rl")
    ]
    assert cells[0] == cells[1] != cells[2]
