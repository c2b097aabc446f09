"""Private names of torch that training uses: these alone, and they do what is expected of them."""

import ast

import torch

PRIVATE = {"_foreach_add_", "_foreach_copy_", "_foreach_norm", "_foreach_sub"}


def test_training_touches_no_other_private_name(repository):
    found = set()
    for room in ("training", "pocket"):
        for file in (repository / "scripts/ptft" / room).glob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                    own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                    if not own and not node.attr.startswith("__"):
                        found.add(node.attr)
                if isinstance(node, ast.ImportFrom):
                    found |= {name.name for name in node.names if name.name.startswith("_")}
    assert found == PRIVATE


def test_they_work_on_lists_of_tensors():
    """3 and 4 are 5 long; 101 ones in bfloat16 are summed in float32."""
    weights = [torch.tensor([4.0, 6.0]), torch.ones(101)]
    differences = torch._foreach_sub(weights, [torch.tensor([1.0, 2.0]), torch.zeros(101)])
    norms = torch._foreach_norm(differences)
    assert [norm.item() for norm in norms] == [5.0, torch.tensor(101.0).sqrt().item()]
    rounded = [torch.ones(101, dtype=torch.bfloat16)]
    assert torch._foreach_norm(rounded, 2.0, torch.float32)[0].dtype == torch.float32
    torch._foreach_add_(weights, differences, alpha=2.0)
    assert weights[0].tolist() == [10.0, 14.0]
    torch._foreach_copy_(rounded, [weights[1]])
    assert rounded[0].tolist() == [3.0] * 101
