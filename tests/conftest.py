"""Where the models are, and builds shared by several tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
DIGITS = ROOT / "examples" / "digits"


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path of a file under ../shared; skips where it isn't there."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs ../shared/{name}, which is not part of the repository")
        return path

    return find
