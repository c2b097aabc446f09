"""Write the pocket study's world: a corpus to pre-train on and datasets in the Hub's layout."""

from pathlib import Path

from ptft.pocket.tasks import write_corpus, write_datasets
from ptft.pocket.world import build_world
from ptft.runtime.programs import command_line


@command_line
def main(output: Path, seed: int = 0) -> None:
    """Write OUTPUT/corpus.txt, one document a line, and OUTPUT/datasets/pocket/NAME/default.

    Args:
        output: folder to write into
        seed: which world
    """
    world = build_world(seed)
    write_corpus(world, output)
    write_datasets(world, output)


if __name__ == "__main__":
    raise SystemExit(main())
