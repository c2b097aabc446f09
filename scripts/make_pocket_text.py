"""Write text of the pocket world that is not in its corpus, to score models by their loss on it.

A program of its own, so that it makes neither the corpus nor what was pre-trained on it again.
"""

from pathlib import Path

from ptft.pocket.tasks import write_held_out
from ptft.pocket.world import build_world
from ptft.runtime.programs import command_line


@command_line
def main(corpus: Path, output: Path, seed: int = 0) -> None:
    """Write OUTPUT/train.jsonl and OUTPUT/test.jsonl, one document a line.

    Args:
        corpus: text that is left out
        output: folder to write into
        seed: which world
    """
    text = corpus.read_text(encoding="utf-8").splitlines()
    write_held_out(build_world(seed), text, output)


if __name__ == "__main__":
    raise SystemExit(main())
