"""What takes long to find is found once by all tests of a session, and never found in an earlier session.

Two caches begin empty: the compiler's of `compiler_cache`, and tinycompile's own of proved requantisations and object
files, on which every user's second build depends as well. Tests that ask whether two builds agree switch both off.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from tests.support.compiler_cache import compiler_cache
from tinycompile.disk_cache import SWITCH

_INSIDE = "TINYCOMPILE_TESTS_HAVE_CACHES"


@contextmanager
def session_caches() -> Generator[None, None, None]:
    """For this process and all that it starts, until the end of the block; in a process of such a block, its caches."""
    if _INSIDE in os.environ:
        yield
        return
    with (
        compiler_cache(),
        tempfile.TemporaryDirectory(prefix="tinycompile-cache-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv(_INSIDE, "yes")
        patch.setenv("XDG_CACHE_HOME", folder)
        patch.delenv(SWITCH, raising=False)
        yield
