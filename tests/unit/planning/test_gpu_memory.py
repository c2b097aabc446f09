"""What jobs take of a GPU: hand numbers, real models on a CPU, refusals, the table of the guide."""

import pytest
import torch
import yaml
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
)

from ptft.files.errors import StudyError
from ptft.paths import Results
from ptft.planning.gpu_memory import GB, GpuMemory, require_room, table
from ptft.planning.site import read_site
from ptft.study import read_study
from ptft.study.models import Shape
from ptft.training.attention import NAME, sequence_layout

# Blocks of (1000 - 2 x 10 x 10) / 2 = 400 weights: attention 300, an inner layer of 2 x 50.
SHAPE = Shape(
    num_hidden_layers=2, hidden_size=10, intermediate_size=5, num_attention_heads=2,
    num_key_value_heads=1, vocab_size=10, tie_word_embeddings=False,
)  # fmt: skip
SAVED = 2 * (18 * 10 + 4 * 5)
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig),
    "olmo": (OlmoForCausalLM, OlmoConfig),
    "neox": (GPTNeoXForCausalLM, GPTNeoXConfig),
}


@pytest.fixture
def read(repository):
    """Function: the grid of Llama-3-8B's study, or of another, with changes."""

    def read(name="config/llama3-8b.yaml", **changes):
        file = repository / name
        text = yaml.safe_load(file.read_text())
        method = changes.pop("full", None)
        if method:
            text["finetune"]["full"]["settings"] |= method
        return read_study(text | changes, [file], repository / "config")

    return read


def test_training_by_hand():
    memory = GpuMemory(1000, SHAPE)
    # Weight, gradient, two moments, and the weight in bfloat16; several send copies of gradients.
    assert memory.training(1, False, 7) == 18 * 1000 + 7 * SAVED
    assert memory.training(4, False, 7) == 22 * 1000 + 7 * SAVED
    # A quarter; a block: two gathered, a gradient (4 + 6); outside: gathered, a gradient (4 + 4).
    assert memory.training(4, True, 7) == 4 * 1000 + 10 * 400 + 8 * 200 + 7 * SAVED
    assert memory.training(1, True, 7) == memory.training(1, False, 7)
    # Of an adapter 2 % are trained.
    assert memory.training(1, False, 0, adapter=True) == pytest.approx((4 + 0.02 * 12 + 2) * 1000)
    assert GpuMemory(1000).training(4, True, 7) == 4 * 1000


def test_scoring_by_hand():
    keys = 2 * 2 * 2 * 5  # bytes x keys and values x layers x width
    batch = 2 * (12 * 10 + 3 * 5)
    assert GpuMemory(1000, SHAPE).scoring(3) == 2000 + 3 * (keys + batch)
    assert GpuMemory(1000, SHAPE).scoring(0, copies=2) == 4000
    assert GpuMemory(1000).scoring(3) == 2000


def real_model(kind, layers=2, tied=False):
    """A small model, and what is computed of one of its shape."""
    sizes = {
        "num_hidden_layers": layers, "hidden_size": 256, "intermediate_size": 896,
        "num_attention_heads": 8, "vocab_size": 97, "tie_word_embeddings": tied,
    }  # fmt: skip
    keys = 8 if kind == "neox" else 4
    model_type, config = MODELS[kind]
    own = {} if kind == "neox" else {"num_key_value_heads": keys}
    model = model_type(config(**sizes, **own, attn_implementation=NAME, eos_token_id=0))
    weights = sum(parameter.numel() for parameter in model.parameters())
    return model, GpuMemory(weights, Shape(**sizes, num_key_value_heads=keys))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", MODELS)
def test_blocks_and_what_is_outside_are_those_of_real_models(kind, tied):
    model, memory = real_model(kind, tied=tied)
    (block,) = {
        sum(parameter.numel() for parameter in part.parameters())
        for part in model.modules()
        if type(part).__name__ in model._no_split_modules
    }
    assert memory.block == pytest.approx(block, rel=0.001)  # but for the last norm
    assert memory.shape.outside == pytest.approx(memory.weights - 2 * block, rel=0.03)


def saved_bytes(model, tokens):
    """What a packed forward pass in bfloat16 saves beside the weights and their copies."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    shapes = {tuple(p.shape) for p in model.parameters() if p.ndim == 2}
    shapes |= {shape[::-1] for shape in shapes}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tuple(tensor.shape) not in shapes:
            kept[storage.data_ptr()] = storage
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16),
    ):
        logits = model(
            input_ids=torch.arange(tokens)[None] % 97,
            position_ids=torch.arange(tokens)[None],
            use_cache=False,
            logits_to_keep=torch.tensor([0]),
            layout=sequence_layout([tokens], torch.device("cpu")),
        ).logits
    assert logits.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("kind", MODELS)
def test_activations_are_at_most_what_a_real_model_saves(kind):
    """Llama's norm saves more than is counted, and on a CPU attention's rectangles do."""
    tokens = 333
    deep, shallow = (real_model(kind, layers)[0] for layers in (3, 2))
    layer = (saved_bytes(deep, tokens) - saved_bytes(shallow, tokens)) / tokens
    counted = real_model(kind, layers=1)[1].saved_token
    assert 0.8 * layer < counted < layer


def test_what_cannot_fit_is_refused_by_the_number_of_gpus_it_needs(read):
    require_room(read(), gpu_gb=80)
    require_room(read(compute={"gpus": 2}), gpu_gb=None)  # nobody knows
    require_room(read(compute={"gpus": 0}), gpu_gb=1)
    said = (
        r"llama3-8b.yaml:\d+: compute.gpus: full.xsum takes at least 71 GB of each of 2 GPUs, "
        r"a GPU has 40 GB; it needs 5: set compute.gpus: 5$"
    )
    with pytest.raises(StudyError, match=said):
        require_room(read(compute={"gpus": 2}), gpu_gb=40)
    require_room(read(compute={"gpus": 5}), gpu_gb=40)
    said = "at least 166 GB of each .* it needs 2: set compute.gpus: 2 and finetune.full.settings.s"
    with pytest.raises(StudyError, match=said):
        require_room(read(full={"sharding": "data"}), gpu_gb=80)
    with pytest.raises(StudyError, match=r"scoring takes at least 15 GB, a GPU has 12 GB"):
        require_room(read(), gpu_gb=12)


def test_the_longest_example_counts_once_it_is_known(read, tmp_path):
    grid = read(compute={"gpus": 2})
    require_room(grid, 80, tmp_path)
    results = Results(grid.name)
    audit = tmp_path / results.table("audit_splits", "csv")
    audit.parent.mkdir(parents=True)
    audit.write_text("dataset,split,tokens_mean,tokens_max\nxsum,train,500,7000\n")
    with pytest.raises(StudyError, match="full.xsum takes at least 83 GB"):  # 2,048 are kept
        require_room(grid, 80, tmp_path)
    with pytest.raises(StudyError, match="no number of GPUs is enough; .* lower max_length"):
        require_room(grid, 20, tmp_path)


def test_what_is_made_is_not_refused(read, tmp_path):
    """Tables and figures of a finished study are drawn where no model of it would fit."""
    grid = read(compute={"gpus": 1})
    results = Results(grid.name)
    for arm in grid.arms:
        with pytest.raises(StudyError):
            require_room(grid, 10, tmp_path)
        record = tmp_path / results.published_cells("main", arm)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()
    require_room(grid, 10, tmp_path)


def test_the_guides_table_is_what_this_code_computes(read, repository):
    model = read().model
    guide = (repository / "docs/slurm.md").read_text()
    memory = GpuMemory(model.weights, model.shape)
    assert table(memory, tokens=2048) in guide
    assert f"Scoring the model takes {memory.scoring(2048) / GB:.0f} GB" in guide


def test_a_site_names_the_memory_of_its_gpus(tmp_path, repository):
    assert read_site(repository / "slurm/site.example.yaml").gpu_memory_gb == 80
    file = tmp_path / "site.yaml"
    file.write_text("gpu_memory_gb: 0\n")
    with pytest.raises(StudyError, match="site.yaml:1: gpu_memory_gb = 0"):
        read_site(file)
