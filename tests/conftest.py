"""Where the real data is, for the tests that want it: they skip, saying so, where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("instag", deadline=None)  # a busy machine is no failure
settings.load_profile("instag")

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data sets (`INSTAG_DATA`, by default `../shared/data` beside the checkout)."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA} (set INSTAG_DATA)")
    return DATA
