"""Write text of a checkpoint; a killed job goes on where it was.

Args:
    checkpoint: model folder
    settings: how many texts, of which length; JSON file
    state: folder for resumable state
    output: texts, JSON lines
    prompts: prepared texts that these begin with, JSON lines; BOS or EOS without
    threads: CPU threads
"""

from functools import partial
from pathlib import Path

from ptft.runtime.programs import program, quick_imports


@partial(program, refuses=(ValueError,))
def main(
    checkpoint: Path,
    settings: Path,
    state: Path,
    output: Path,
    prompts: Path | None = None,
    threads: int = 1,
) -> None:
    with quick_imports():
        import torch

        from ptft.files import read_slice
        from ptft.runtime.gpus import require_leased_gpus
        from ptft.training.self_text import SelfText, write_self_text

    torch.set_num_threads(threads)
    require_leased_gpus()
    write_self_text(checkpoint, read_slice(settings, SelfText), prompts, state, output)
