"""A Hub on 127.0.0.1, and a client that talks to it without long waits."""

import pytest
from server import HubServer, Repository, noise


@pytest.fixture
def hub(monkeypatch):
    """A running Hub, with a repository of a few checkpoints that are bytes, not models."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    from ptft.hub import client

    with HubServer() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(client, "WAITS", (0.01,) * 4)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setenv("HF_HOME", "/nonexistent")
        server.models["org/tiny"] = Repository(
            {
                "main": {"config.json": b"{}", "model.safetensors": noise(25)},
                "step1000-tokens4B": {"config.json": b"{}", "model.safetensors": noise(25, 1)},
                "step2000-tokens8B": {"config.json": b"{}", "model.safetensors": noise(3, 2)},
                "step425000-tokens1781B": {"config.json": b"{}", "model.safetensors": noise(3, 3)},
                "step738020-tokens3094B": {"config.json": b"{}", "model.safetensors": noise(3, 4)},
            }
        )
        close_session()  # it may hold connections to another test's server
        yield server
