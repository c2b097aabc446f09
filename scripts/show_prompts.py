"""Show what the models of a study will read: prompts with their shots, training examples."""

import argparse
import sys
from pathlib import Path

from ptft.audit.samples import show_prompts
from ptft.audit.study import AuditSlice
from ptft.files.slice_files import read_slice
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, print the samples and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="the study's slice, JSON file")
    parser.add_argument("--data", type=Path, required=True, help="folder of prepared datasets")
    parser.add_argument("--model", type=Path, required=True, help="folder with the tokenizer")
    parser.add_argument("--output", type=Path, required=True, help="text file")
    args = parser.parse_args(argv)

    from transformers import AutoConfig

    from ptft.models.loading import context_length, load_tokenizer

    length = context_length(AutoConfig.from_pretrained(args.model, local_files_only=True))
    if length is None:
        sys.exit(f"error: {args.model}/config.json has no max_position_embeddings")
    try:
        plan = read_slice(args.plan, AuditSlice)
        text = show_prompts(plan, args.data, load_tokenizer(args.model), length)
    except ValueError as error:
        sys.exit(f"error: {error}")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    run_program(main)
