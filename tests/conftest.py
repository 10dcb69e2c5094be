"""Where the models are, and builds shared by several tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.compiler_cache import compiler_cache

# Before NumPy is loaded: the threads of its matrix products wait in loops, and two processes share two cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# A worker and each process that a test starts would compile the package and the tests anew: half a second of each, seven
# of a worker's collection.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# What a test finds is never what an earlier run found.
os.environ["TINYCOMPILE_CACHE"] = "off"

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
DIGITS = ROOT / "examples" / "digits"

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search")  # HYPOTHESIS_PROFILE=search looks for new examples
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main() -> Generator[None, object, object]:
    """Around everything; the workers of pytest-xdist have the environment of the process that starts them."""
    with compiler_cache():
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
