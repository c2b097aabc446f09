"""Talking to the Hub with patience, and saying in plain words what it refused."""

import errno
import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Seconds before each further attempt: busy servers recover within minutes, or not soon.
WAITS: tuple[float, ...] = (1, 2, 4, 8, 15, 30, 60)
BUSY = {408, 429, 500, 502, 503, 504}


class HubError(RuntimeError):
    """Something can't be had from the Hub; the message says why and what to do."""


def api() -> HfApi:
    """The Hub's client, at HF_ENDPOINT, with the token of the environment or of `hf auth login`."""
    return HfApi(endpoint=constants.ENDPOINT)


def patiently(action: Callable[[], Result], what: str) -> Result:
    """Do something that needs the Hub; wait and try again while the Hub or the way to it fails.

    The client itself does not try again after 503, nor after 429 on its API.

    Args:
        what: what is being done, for messages.

    Raises:
        HubError: the Hub refuses, or fails still after the last attempt.
    """
    for wait in (*WAITS, None):
        try:
            return action()
        except (HfHubHTTPError, httpx2.TransportError, OSError, OfflineModeIsEnabled) as error:
            if not _passes(error):
                raise HubError(explain(error, what)) from error
            if wait is None:
                raise HubError(
                    f"{what}: gave up after {len(WAITS) + 1} attempts, the last ended in: "
                    f"{_brief(error)}. What has come so far is kept; run this again later"
                ) from error
            wait = _retry_after(error) or wait * random.uniform(0.8, 1.2)
            log.warning("%s: %s; trying again in %.0f s", what, _brief(error), wait)
            time.sleep(wait)
    raise AssertionError("unreachable")


def explain(error: Exception, what: str) -> str:
    """Why the Hub refused, and the way out."""
    if isinstance(error, GatedRepoError):
        reason = (
            "the repository is gated: accept its terms on its page, then `hf auth login` or set "
            "HF_TOKEN to a token of that account"
        )
    elif isinstance(error, RevisionNotFoundError):
        reason = "no such branch, tag or commit in the repository"
    elif isinstance(error, EntryNotFoundError):
        reason = "the repository has no such file"
    elif isinstance(error, RepositoryNotFoundError):
        reason = (
            "no such repository, or a private one that the current login does not see (`hf auth "
            "login`, or HF_TOKEN)"
        )
    elif isinstance(error, OfflineModeIsEnabled):
        reason = (
            "HF_HUB_OFFLINE is set, and this has not been fetched yet: run `snakemake fetch` with "
            "the same --configfile where there is a network"
        )
    elif _errno(error) in (errno.ENOSPC, errno.EDQUOT):
        reason = "the disk is full; what has come so far is kept, free some space and run again"
    else:
        reason = _brief(error)
    return f"{what}: {reason}"


def _passes(error: Exception) -> bool:
    """Whether waiting may help."""
    if isinstance(error, OfflineModeIsEnabled):
        return False
    if isinstance(error, HfHubHTTPError):
        return error.response is not None and error.response.status_code in BUSY
    if isinstance(error, httpx2.TransportError):
        return not isinstance(error, httpx2.UnsupportedProtocol)
    # http_get reports a body of the wrong length as an OSError without a number.
    return isinstance(error, OSError) and _errno(error) is None


def _errno(error: Exception) -> int | None:
    return getattr(error, "errno", None)


def _retry_after(error: Exception) -> float | None:
    response = getattr(error, "response", None)
    value = response.headers.get("Retry-After", "") if response is not None else ""
    return float(value) if value.isdigit() else None


def _brief(error: Exception) -> str:
    """The first line of an error, or its kind."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
