"""Write text of the pocket world that is not in its corpus, to score models by their loss on it.

    python scripts/make_pocket_text.py --corpus resources/pocket/corpus.txt --output text

writes OUTPUT/train.jsonl and OUTPUT/test.jsonl, one document a line. It is a program of its own, so
that it makes neither the corpus nor what was pre-trained on it again.
"""

import argparse
import logging
from pathlib import Path

from ptft.pocket.held_out import write_held_out
from ptft.pocket.world import build_world
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="what is left out")
    parser.add_argument("--output", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seed", type=int, default=0, help="which world")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    corpus = arguments.corpus.read_text(encoding="utf-8").splitlines()
    write_held_out(build_world(arguments.seed), corpus, arguments.output)


if __name__ == "__main__":
    run_program(main)
