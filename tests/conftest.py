"""What tests share: the way to the real captures, which are never part of the project."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: VERBATIM_DATA, or ../shared/data beside the checkout. CI must have it."""
    folder = Path(os.environ.get("VERBATIM_DATA", ROOT.parent / "shared" / "data"))
    if folder.is_dir():
        return folder
    if os.environ.get("CI") == "true":
        pytest.fail(f"no real data at {folder}: set VERBATIM_DATA")
    pytest.skip(f"no real data at {folder}: set VERBATIM_DATA")
