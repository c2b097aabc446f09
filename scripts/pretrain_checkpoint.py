"""Pre-train the pocket study's model to a step, from scratch or from the checkpoint before.

    python scripts/pretrain_checkpoint.py --corpus resources/pocket/corpus.txt \
        --settings settings.json --before step25.state.pt \
        --output step100 --state step100.state.pt

with {"steps": [100], "total_steps": 4000} in settings.json, writes step100, a Hugging Face model
folder with a pretraining.json, and what goes on from there.
"""

import argparse
import logging
from pathlib import Path

from ptft.runtime.programs import quick_imports, run_program


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="text, a document a line")
    parser.add_argument("--settings", type=Path, required=True, help="JSON file")
    parser.add_argument("--before", type=Path, help="state of an earlier step to go on from")
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--state", type=Path, required=True, help="state to go on from later")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with quick_imports():
        import torch

        from ptft.files.slice_files import read_slice
        from ptft.pocket.encoded_corpus import EncodedCorpus
        from ptft.pocket.pretraining import Pretraining
        from ptft.pocket.settings import PretrainSettings
        from ptft.runtime.locks import exclusive

    torch.set_num_threads(arguments.threads)
    settings = read_slice(arguments.settings, PretrainSettings)
    corpus = EncodedCorpus.read(arguments.corpus, settings.vocab_size, arguments.before)
    # A job that a dead main process left behind may be at the same work.
    with exclusive(arguments.output):
        run = Pretraining(corpus, settings)
        if arguments.before:
            run.load_state(arguments.before)
        run.train(settings.steps[-1])
        run.save_state(arguments.state)
        run.save_checkpoint(arguments.output)


if __name__ == "__main__":
    run_program(main)
