"""Attention over packed sequences against stock transformers, one sequence at a time."""

import itertools

import pytest
import torch
from tiny import tiny_model

from ptft.training.packing import NAME, SequenceLayout, sequence_layout

CPU = torch.device("cpu")
LENGTHS = [5, 1, 17, 9, 16]


@pytest.mark.parametrize("architecture", ["olmo", "llama_grouped", "gpt_neox"])
def test_packed_logits_and_gradients_equal_unpacked(architecture):
    model = tiny_model(architecture)
    rows = [torch.randint(2, 60, (n,)) for n in LENGTHS]
    plain = torch.cat([model(input_ids=row[None], use_cache=False).logits[0] for row in rows])
    plain.square().mean().backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    model.set_attn_implementation(NAME)
    packed = model(
        input_ids=torch.cat(rows)[None],
        position_ids=torch.cat([torch.arange(n) for n in LENGTHS])[None],
        use_cache=False,
        layout=sequence_layout(LENGTHS, CPU),
    ).logits[0]
    packed.square().mean().backward()
    torch.testing.assert_close(packed, plain, rtol=1e-5, atol=1e-6)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("architecture", ["olmo", "llama_grouped", "gpt_neox"])
def test_flash_attention_is_called_as_it_must_be(architecture, monkeypatch):
    """In place of the CUDA kernel, a reference as strict as it is: one half precision, (T, H, D),
    int32 boundaries. Logits are those of the rectangles."""
    calls = []

    def reference(query, key, value, cu_q, cu_k, max_q, max_k, *, scale, window_size, enable_gqa):
        calls.append(window_size)
        assert query.dtype == key.dtype == value.dtype == torch.bfloat16
        assert query.shape == (sum(LENGTHS), 4, 8) and key.shape == value.shape
        assert enable_gqa == (key.shape[1] == 2) == (architecture == "llama_grouped")
        assert cu_q.dtype == torch.int32 and cu_q is cu_k
        assert cu_q.tolist() == [0, 5, 6, 23, 32, 48] and max_q == max_k == 17
        parts = [
            torch.nn.functional.scaled_dot_product_attention(
                *(tensor[start:end].transpose(0, 1) for tensor in (query, key, value)),
                is_causal=True,
                scale=scale,
                enable_gqa=enable_gqa,
            ).transpose(0, 1)
            for start, end in itertools.pairwise(cu_q.tolist())
        ]
        return torch.cat(parts)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", reference)
    model = tiny_model(architecture)
    model.set_attn_implementation(NAME)
    boundaries = torch.tensor([0, *itertools.accumulate(LENGTHS)], dtype=torch.int32)

    def logits(layout):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return model(
                input_ids=torch.arange(2, 2 + sum(LENGTHS))[None],
                position_ids=torch.cat([torch.arange(n) for n in LENGTHS])[None],
                use_cache=False,
                layout=layout,
            ).logits.float()

    torch.testing.assert_close(
        logits(SequenceLayout(17, boundaries, ())),
        logits(sequence_layout(LENGTHS, CPU)),
        rtol=2e-2,
        atol=2e-2,
    )
    assert calls == [(-1, 0)] * 2  # causal, in each of two layers


def test_without_a_layout_it_is_refused():
    model = tiny_model("olmo")
    model.set_attn_implementation(NAME)
    with pytest.raises(ValueError, match="needs layout="):
        model(input_ids=torch.tensor([[3, 4]]))
