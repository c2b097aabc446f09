"""Write the pocket study's world: OUTPUT/corpus.txt, one document a line, and datasets in the
Hub's layout, OUTPUT/datasets/pocket/NAME/default.

With a corpus, write text that is not in it instead, to score models by their loss on it:
OUTPUT/train.jsonl and OUTPUT/test.jsonl, one document a line.

Args:
    output: folder to write into
    seed: which world
    corpus: text that is left out
"""

from pathlib import Path

from ptft.pocket.tasks import write_corpus, write_datasets, write_held_out
from ptft.pocket.world import build_world
from ptft.runtime.programs import program


@program
def main(output: Path, seed: int = 0, corpus: Path | None = None) -> None:
    world = build_world(seed)
    if corpus:
        write_held_out(world, corpus.read_text(encoding="utf-8").splitlines(), output)
    else:
        write_corpus(world, output)
        write_datasets(world, output)
