"""What a cell's prompts are: the shots it draws and what is scored behind each context.

Scoring, the audit and `show_prompts` call these, so that all of them mean the same prompts.
"""

from collections.abc import Mapping, Sequence

from ptft.evaluation.requests import CellRequest, generates
from ptft.prompts.encoding import Prompt, encode_examples
from ptft.prompts.templates import select_shots


def cell_shots(cell: CellRequest, pool: Sequence[Mapping]) -> Sequence[Mapping]:
    """The shots of a cell, drawn from a pool.

    Raises:
        ValueError: the pool holds too few.
    """
    return select_shots(pool, cell.shots, cell.shots_seed, balanced=cell.kind != "generation")


def cell_prompts(
    tokenizer,
    cell: CellRequest,
    shots: Sequence[Mapping],
    examples: Sequence[Mapping],
    max_length: int,
) -> list[Prompt]:
    """The prompts of a cell's examples, cut to the model's context where they have to be.

    Raises:
        ValueError: an example does not fit even so.
    """
    reserve = cell.max_new_tokens or 0 if generates(cell.kind, cell.also) else 0
    return encode_examples(
        tokenizer,
        cell.template,
        shots,
        examples,
        lambda row: _continuations(cell, row),
        max_length,
        reserve,
    )


def _continuations(cell: CellRequest, row: Mapping) -> Sequence[str]:
    """Texts that are scored behind a context; the first sub-tokens of labels come beside them."""
    if cell.kind == "multiple_choice":
        return row["choices"]
    whole = {"whole_label", "constrained"} & set(cell.also)
    return cell.labels or () if whole else ()
