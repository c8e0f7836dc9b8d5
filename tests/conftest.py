"""Where the real data is, for the tests that want it: they skip, saying so, where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("INSTAG_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data sets (`INSTAG_DATA`, by default `../shared/data` beside the checkout)."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA} (set INSTAG_DATA)")
    return DATA
