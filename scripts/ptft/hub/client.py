"""Requests to the Hub with limited patience, and plain words for what it refused.

huggingface_hub waits for a listing without a timeout, follows any Retry-After and tries up to six
times by itself. Its HTTP client is replaced by one that waits for an answer as long as for a piece
of a download, and leaves retries to :func:`patiently`.
"""

import errno
import logging
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, constants, is_offline_mode, set_client_factory
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import hf_raise_for_status

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Seconds before each further attempt: busy servers recover within minutes, or not soon.
WAITS: tuple[float, ...] = (1, 2, 4, 8, 15, 30, 60)
MOST_WAIT = 120.0
"""seconds per wait, however long the server asks for"""
PATIENCE = 600.0
"""seconds of failures, waits included, after which it gives up"""
LEAST_BYTES = 1 << 19
"""of a download, after which an attempt was not in vain"""
BUSY = {408, 429, 500, 502, 503, 504}


class HubError(RuntimeError):
    """The Hub does not give something; the message says why and what to do."""


class NoAnswerError(Exception):
    """The Hub could not be reached, or its answer came too slowly."""


class Client(httpx2.Client):
    """The HTTP client of huggingface_hub; it repeats no request, and each one ends."""

    def send(self, request: httpx2.Request, **options) -> httpx2.Response:
        """Send a request; raise only errors after which huggingface_hub does not try again."""
        if is_offline_mode():
            raise OfflineModeIsEnabled(f"{request.url} is not asked for")
        try:
            response = super().send(request, **options)
            if response.status_code in BUSY:
                response.read()
                hf_raise_for_status(response)
        except httpx2.UnsupportedProtocol:
            raise
        except httpx2.TransportError as error:
            raise NoAnswerError(_brief(error)) from error
        return response


set_client_factory(lambda: Client(follow_redirects=True, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT))


def api() -> HfApi:
    """The Hub's client, at HF_ENDPOINT, with the token of the environment or of `hf auth login`."""
    return HfApi(endpoint=constants.ENDPOINT)


def listed(action: Callable[[], Result], what: str) -> Result:
    """A listing of the Hub's API, with retries; refuses answers that are not the Hub's.

    Raises:
        HubError: as `patiently`, or the answer is not the Hub's.
    """

    def ask() -> Result:
        try:
            return action()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HubError(
                f"{what}: {constants.ENDPOINT} answers, but not as the Hub does ({_brief(error)}). "
                "Does a login page or a proxy stand in between? Is HF_ENDPOINT right?"
            ) from error

    return patiently(ask, what)


def patiently(
    action: Callable[[], Result], what: str, arrived: Callable[[], int] = lambda: 0
) -> Result:
    """Do something that needs the Hub; wait and try again while the Hub or the network fails.

    Args:
        what: what is done, for messages.
        arrived: bytes received so far. When they grow, the count of failures restarts.

    Raises:
        HubError: the Hub refuses, or still fails after the last attempt.
    """
    waits, begun, before, attempts = iter(WAITS), time.monotonic(), arrived(), 0
    while True:
        try:
            return action()
        except (HfHubHTTPError, NoAnswerError, httpx2.TransportError, OSError) as error:
            if not _passes(error):
                raise HubError(explain(error, what)) from error
            failure = error
        if arrived() - before >= LEAST_BYTES:
            waits, begun, before, attempts = iter(WAITS), time.monotonic(), arrived(), 0
        attempts += 1
        wait, spent = _wait(failure, next(waits, None)), time.monotonic() - begun
        if wait is None or spent + wait > PATIENCE:
            raise HubError(
                f"{what}: gave up after {attempts} attempts in {spent:.0f} s, the last ended in: "
                f"{_reason(failure)}. What has come so far is kept; run this again later"
            ) from failure
        log.warning("%s: %s; trying again in %.0f s", what, _reason(failure), wait)
        time.sleep(wait)


def explain(error: Exception, what: str) -> str:
    """Why the Hub refused, and what to do."""
    if isinstance(error, GatedRepoError):
        reason = (
            f"the repository is gated: accept its terms on its page ({_page(error)}), then `hf "
            "auth login` or set HF_TOKEN to a token of that account"
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
    elif getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        reason = "the disk is full; what has come so far is kept, free some space and run again"
    else:
        reason = _brief(error)
    return f"{what}: {reason}"


def _page(error: GatedRepoError) -> str:
    """The page of a repository, from the address that was asked for."""
    asked = re.sub(r"/api/(models/)?", "/", str(error.response.url).split("?")[0])
    found = re.match(r"https?://[^/]+/((datasets|spaces)/)?[^/]+/[^/]+", asked)
    return found[0] if found else asked


def _passes(error: Exception) -> bool:
    """Whether waiting may help."""
    if isinstance(error, HfHubHTTPError):
        return error.response is not None and error.response.status_code in BUSY
    return not isinstance(error, (OfflineModeIsEnabled, OSError, httpx2.UnsupportedProtocol))


def _wait(error: Exception, planned: float | None) -> float | None:
    """Seconds until the next attempt; None for no further one."""
    if planned is None:
        return None
    return min(_retry_after(error) or planned * random.uniform(0.8, 1.2), MOST_WAIT)


def _reason(error: Exception) -> str:
    asked = _retry_after(error)
    return _brief(error) + (f" (the server asks to wait {asked:g} s)" if asked else "")


def _retry_after(error: Exception) -> float | None:
    response = getattr(error, "response", None)
    value = response.headers.get("Retry-After", "") if response is not None else ""
    return float(value) if value.isdigit() else None


def _brief(error: Exception) -> str:
    """The first line of an error, or its kind."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
