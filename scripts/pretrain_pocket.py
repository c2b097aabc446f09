"""Pre-train the pocket study's model from scratch, keeping its checkpoints.

    python scripts/pretrain_pocket.py --world resources/pocket \
        --settings '{"steps": [25, 4000], "total_steps": 4000}' --output DIR --threads 2

writes DIR/step25, DIR/step4000: Hugging Face model folders with a pretraining.json each.
"""

import argparse
import json
import logging
from functools import partial
from pathlib import Path

import torch

from ptft.pocket.pretraining import PretrainSettings, pretrain, save_checkpoint


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", type=Path, required=True, help="folder with corpus.txt")
    parser.add_argument("--settings", required=True, help="PretrainSettings as a JSON object")
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    settings = PretrainSettings(**json.loads(arguments.settings))
    documents = (arguments.world / "corpus.txt").read_text(encoding="utf-8").splitlines()
    arguments.output.mkdir(parents=True, exist_ok=True)
    pretrain(documents, settings, partial(save_checkpoint, arguments.output))


if __name__ == "__main__":
    main()
