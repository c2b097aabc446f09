"""Show what the models of a study will read: prompts with their shots, training examples.

Args:
    plan: the study's slice, JSON file
    data: folder of prepared datasets
    model: folder with the tokenizer
    output: text file
"""

from functools import partial
from pathlib import Path

from ptft.runtime.programs import program


@partial(program, refuses=(ValueError,))
def main(plan: Path, data: Path, model: Path, output: Path) -> None:
    from transformers import AutoConfig

    from ptft.audit.samples import SamplesSlice, show_prompts
    from ptft.files import read_slice
    from ptft.models.loading import context_length, load_tokenizer

    length = context_length(AutoConfig.from_pretrained(model, local_files_only=True))
    if length is None:
        raise ValueError(f"{model}/config.json has no max_position_embeddings")
    text = show_prompts(read_slice(plan, SamplesSlice), data, load_tokenizer(model), length)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    print(text, end="")
