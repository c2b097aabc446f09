"""List how a repository of the Hub names its checkpoints, as a first draft of a model's file.

Args:
    repository: OWNER/NAME on the Hub
"""

from ptft.runtime.programs import program


@program
def main(repository: str) -> None:
    from ptft.hub.draft import draft_model

    print(draft_model(repository), end="")
