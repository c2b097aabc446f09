"""A real language model, made once a clone."""

import os
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock
from make_model import make_model


@pytest.fixture(scope="session")
def real_model(repository) -> Path:
    """Folder of SmolLM2-135M-Instruct; tests that need it skip where pip can't bring it."""
    named = os.environ.get("PTFT_REAL_MODEL")
    folder = Path(named) if named else repository / ".cache/SmolLM2-135M-Instruct"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "model.safetensors").exists():
            try:
                make_model(folder)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"no real model: {error}")
    return folder


@pytest.fixture(scope="session")
def loaded(real_model):
    """The model, ready to be scored."""
    from ptft.models.loading import load_for_scoring

    return load_for_scoring(real_model)
