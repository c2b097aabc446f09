"""Pre-train the pocket study's model to a step, from scratch or from the checkpoint before.

With {"steps": [100], "total_steps": 4000} in the settings it writes step100, a Hugging Face
model folder with a pretraining.json, and what goes on from there.

Args:
    corpus: text, a document a line
    settings: JSON file
    output: folder of the checkpoint
    state: state to go on from later, to write
    before: state of an earlier step to go on from
    threads: CPU threads
"""

from pathlib import Path

from ptft.runtime.programs import program, quick_imports


@program
def main(
    corpus: Path,
    settings: Path,
    output: Path,
    state: Path,
    before: Path | None = None,
    threads: int = 1,
) -> None:
    with quick_imports():
        import torch

        from ptft.files import read_slice
        from ptft.pocket.pretraining import Pretraining
        from ptft.pocket.settings import PretrainSettings
        from ptft.pocket.tokenizer import EncodedCorpus
        from ptft.runtime.locks import exclusive

    torch.set_num_threads(threads)
    asked = read_slice(settings, PretrainSettings)
    encoded = EncodedCorpus.read(corpus, asked.vocab_size, before)
    # A job that a dead main process left behind may be at the same work.
    with exclusive(output):
        run = Pretraining(encoded, asked)
        if before:
            run.load_state(before)
        run.train(asked.steps[-1])
        run.save_state(state)
        run.save_checkpoint(output)
