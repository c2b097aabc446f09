"""Write the pocket study's world: a corpus to pre-train on and datasets in the Hub's layout.

    python scripts/make_pocket_world.py --output resources/pocket --seed 0

writes OUTPUT/corpus.txt, one document a line, and
OUTPUT/datasets/pocket/NAME/default/SPLIT-00000-of-00001.parquet for every dataset.
"""

import argparse
import logging
from pathlib import Path

from ptft.pocket.export import write_corpus, write_datasets
from ptft.pocket.world import build_world
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seed", type=int, default=0, help="which world")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    world = build_world(arguments.seed)
    write_corpus(world, arguments.output)
    write_datasets(world, arguments.output)


if __name__ == "__main__":
    run_program(main)
