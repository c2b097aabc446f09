"""List how a repository of the Hub names its checkpoints, as a first draft of a model's file."""

from ptft.runtime.programs import command_line


@command_line
def main(repository: str) -> None:
    """List how a repository of the Hub names its checkpoints, as a first draft of a model's file.

    Args:
        repository: OWNER/NAME on the Hub
    """
    from ptft.hub.draft import draft_model

    print(draft_model(repository), end="")


if __name__ == "__main__":
    raise SystemExit(main())
