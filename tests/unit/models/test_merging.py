"""Merged weights: by hand, and through the job's plan of what is derived."""

import pytest
import torch
from tiny import save_tiny_checkpoint

from ptft.evaluation.job import derivation_of, derived_hash
from ptft.models.derive import Parent, stream
from ptft.models.loading import load_model
from ptft.models.merging import averaged

NAME = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A checkpoint and three models beside one another, tuned from it by noise of their own."""
    root = tmp_path_factory.mktemp("merge")
    folders = {"start": save_tiny_checkpoint(root / "start")}
    for number, name in enumerate("abc"):
        model = load_model(folders["start"])
        torch.manual_seed(number)
        with torch.no_grad():
            for weight in model.parameters():
                weight += 0.05 * torch.randn_like(weight)
        folders[name] = root / "tuned" / name
        model.save_pretrained(folders[name])
    return folders


def weights(folder):
    return load_model(folder).state_dict()[NAME]


def merged(models, derivation, strength, members, parent="a", **more):
    own = Parent(models[parent], models["start"])
    spec = {"derivation": derivation, "version": 1, "strength": strength, "seed": 3,
            "members": members, **more}  # fmt: skip
    return derivation_of(spec).weights(own, strength, 3)[NAME], derived_hash(spec, own)


def test_a_soup_is_the_mean(models):
    found, _ = merged(models, "soup", 3, ["b", "c"])
    assert torch.equal(
        found, (weights(models["a"]) + weights(models["b"]) + weights(models["c"])) / 3
    )


def test_the_last_checkpoints_are_averaged(tmp_path):
    """Of the study's checkpoints those up to the job's own; the first has none before it."""
    study = ["s1", "s2", "s3"]
    for number, name in enumerate(study):
        folder = save_tiny_checkpoint(tmp_path / name, initializer_range=0.1 * (number + 1))
    found, _ = merged({"s3": folder, "start": folder}, "checkpoint_average", 2, study, "s3")
    assert torch.equal(found, (weights(tmp_path / "s3") + weights(tmp_path / "s2")) / 2)
    assert averaged(study, "s2", 2) == ["s1", "s2"] and not averaged(study, "s1", 2)
    assert averaged(study, "s3", 3) == study


def test_task_vectors_add_up(models):
    start = weights(models["start"])
    changes = [weights(models[name]) - start for name in "ab"]
    found, _ = merged(models, "task_vectors", 0.5, ["b"])
    torch.testing.assert_close(found, start + 0.5 * (changes[0] + changes[1]))
    # TIES: the largest fifth of each, of these the mean of those with the sign of their sum.
    kept = []
    for change in changes:
        largest = change.abs().flatten().topk(int(0.2 * change.numel())).indices
        kept.append(torch.zeros(change.numel()).index_fill_(0, largest, 1).view_as(change) * change)
    sign = (kept[0] + kept[1]).sign()
    agreeing = [torch.where(each.sign() == sign, each, 0) for each in kept]
    count = sum((each != 0).float() for each in agreeing).clamp(min=1)
    expected = start + 0.7 * (agreeing[0] + agreeing[1]) / count
    found, _ = merged(models, "ties", 0.7, ["b"], density=0.2)
    torch.testing.assert_close(found, expected)


def test_dare_keeps_a_random_share_and_scales_it_up(models):
    start = weights(models["start"])
    torch.manual_seed(stream(NAME, 3))
    expected = start.clone()
    for name in "ab":
        change = weights(models[name]) - start
        expected += change * torch.bernoulli(torch.full_like(change, 0.25)) / 0.25
    before = torch.random.get_rng_state()
    found, _ = merged(models, "dare", 1.0, ["b"], density=0.25)
    torch.testing.assert_close(found, expected)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_model_is_in_the_hash(models):
    """Another member, another density, other weights of one: another cell."""
    hashes = [
        merged(models, "ties", 0.7, ["b"], density=0.2)[1],
        merged(models, "ties", 0.7, ["c"], density=0.2)[1],
        merged(models, "ties", 0.7, ["b"], density=0.3)[1],
    ]
    save_tiny_checkpoint(models["b"])
    hashes.append(merged(models, "ties", 0.7, ["b"], density=0.2)[1])
    assert len(set(hashes)) == 4
