"""Where the models are, and builds shared by several tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.session_caches import session_caches

# Before NumPy is loaded: the threads of its matrix products wait in loops, and two processes share two cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Each process that a test starts would compile the package anew for half a second, each worker the tests for seven.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
DIGITS = ROOT / "examples" / "digits"

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search")  # HYPOTHESIS_PROFILE=search looks for new examples
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main() -> Generator[None, object, object]:
    """Around everything. Workers of pytest-xdist come here, too, in the environment of the process that starts them."""
    with session_caches():
        return (yield)


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path of a file under ../shared; skips where it isn't there."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs ../shared/{name}, which is not part of the repository")
        return path

    return find
