"""Waits have ends: whatever a server does, the client says what it waits for, and gives up."""

import types

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session
from server import CHUNK, Fault

from ptft.hub import client
from ptft.hub.client import HubError
from ptft.hub.fetch import fetch
from ptft.hub.resolve import resolve_checkpoint

MAIN = {"repository": "org/tiny", "branch": "main"}
REFS = "/api/models/org/tiny/refs"


@pytest.fixture
def clock(monkeypatch):
    """Time that passes by waiting only; ``waits`` holds how long."""
    waits: list[float] = []
    now = types.SimpleNamespace(monotonic=lambda: sum(waits), sleep=waits.append)
    monkeypatch.setattr(client, "time", now)
    return waits


@pytest.fixture
def weights(hub) -> str:
    """Path of the weights on the server."""
    commit = hub.models["org/tiny"].commit("main")
    return f"/org/tiny/resolve/{commit}/model.safetensors"


def patient(monkeypatch, **limits) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(client, name, value)


@pytest.mark.parametrize("where", ["a listing", "a file"])
def test_a_server_that_asks_for_hours_is_asked_a_few_times(hub, weights, clock, tmp_path, where):
    pin = resolve_checkpoint(MAIN)
    path = REFS if where == "a listing" else weights
    before = hub.requests[path]
    hub.fail(path, *[Fault("status", 429, headers={"Retry-After": "3600"})] * 99)
    with pytest.raises(HubError) as error:
        resolve_checkpoint(MAIN) if where == "a listing" else fetch(pin, tmp_path / "main")
    # Four waits of 10 ms stand before the last attempt: here each one is what the server asks
    # for, at most 120 s.
    assert clock == [client.MOST_WAIT] * 4
    assert hub.requests[path] - before == 5
    assert "gave up after 5 attempts in 480 s" in str(error.value)
    assert "429" in str(error.value) and "the server asks to wait 3600 s" in str(error.value)


def test_patience_ends_before_the_attempts_do(hub, clock, monkeypatch):
    patient(monkeypatch, WAITS=(1,) * 99)
    hub.fail(REFS, *[Fault("status", 503, headers={"Retry-After": "3600"})] * 99)
    with pytest.raises(HubError, match="gave up after 6 attempts in 600 s"):
        resolve_checkpoint(MAIN)
    assert sum(clock) == client.PATIENCE


@pytest.mark.parametrize("where", ["a listing", "a file"])
def test_a_server_without_a_word_is_left(hub, weights, tmp_path, monkeypatch, where):
    pin = resolve_checkpoint(MAIN)
    patient(monkeypatch, WAITS=(0.01,))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    close_session()  # the next one has that timeout
    hub.fail(REFS if where == "a listing" else weights, *[Fault("silent")] * 2)
    with pytest.raises(HubError, match="gave up after 2 attempts .*: ReadTimeout"):
        resolve_checkpoint(MAIN) if where == "a listing" else fetch(pin, tmp_path / "main")


def test_a_way_that_leads_on_is_not_given_up(hub, weights, tmp_path, monkeypatch):
    pin = resolve_checkpoint(MAIN)
    patient(monkeypatch, LEAST_BYTES=CHUNK)  # four waits, and twelve failures
    hub.fail(weights, *[Fault("cut", after=2 * CHUNK)] * 12)
    fetch(pin, tmp_path / "main")
    assert hub.sent[weights] == 25 * CHUNK and hub.requests[weights] == 13


def test_a_login_page_is_no_listing(hub):
    hub.fail(REFS, Fault("html"))
    with pytest.raises(HubError, match="answers, but not as the Hub does .*Does a login page or a"):
        resolve_checkpoint(MAIN)
    assert hub.requests[REFS] == 1
