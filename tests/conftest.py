"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest

from ptft.runtime.leased_gpus import CPU_STANDS_IN

# Studies of the tests ask for GPUs that are names only.
os.environ[CPU_STANDS_IN] = "1"
REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real data in the Hub's layout; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("PTFT_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set PTFT_SHARED)")
    return folder
