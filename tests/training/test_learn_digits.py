"""examples/learn_digits: its reservoir; with `make test-full` the demo in QEMU."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cffi
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.support.full import also
from tinycompile.toolchain import require, run

EXAMPLE = ROOT / "examples" / "learn_digits"
PLACES, STREAM, STREAMS = 8, 40, 400
NOWHERE = 0xFFFFFFFF


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(library, ffi) of replay.c."""
    path = tmp_path_factory.mktemp("replay") / "replay.so"
    warnings = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fPIC", "-shared"]
    run([require("cc"), *warnings, str(EXAMPLE / "replay.c"), "-o", str(path)], cwd=path.parent)
    ffi = cffi.FFI()
    ffi.cdef("typedef struct { uint32_t places, random, held, seen; } reservoir;")
    ffi.cdef("uint32_t replay_place(reservoir *); uint32_t replay_draw(reservoir *);")
    return ffi.dlopen(str(path)), ffi


def test_every_sample_is_kept_with_the_same_probability(replay: Any) -> None:
    library, ffi = replay
    counts, drawn = np.zeros(STREAM, int), np.zeros(PLACES, int)
    reservoir = ffi.new("reservoir *", [PLACES, 12345, 0, 0])
    for _ in range(STREAMS):
        reservoir.held = reservoir.seen = 0
        assert library.replay_draw(reservoir) == NOWHERE
        kept = [-1] * PLACES
        for sample in range(STREAM):
            place = library.replay_place(reservoir)
            assert place < PLACES or place == NOWHERE
            if place != NOWHERE:
                kept[place] = sample
        assert -1 not in kept
        counts[kept] += 1
        drawn[library.replay_draw(reservoir)] += 1
    share = STREAMS * PLACES / STREAM
    assert np.abs(counts - share).max() < 5 * np.sqrt(share)
    assert drawn.min() > 0


@pytest.mark.parametrize("whole", also(True))
def test_it_learns_in_qemu_and_forgets_without_replay(whole: bool, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("learn_digits_demo", EXAMPLE / "demo.py")
    assert spec is not None and spec.loader is not None
    demo: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = demo
    spec.loader.exec_module(demo)
    build = demo.build_model(tmp_path)
    right = [
        [int(found) for found in re.findall(r": +(\d+) of 150 digits right", demo.simulate(build, replay))]
        for replay in (0, 4)
    ]
    assert whole and [len(each) for each in right] == [3, 3]
    for before, after, restarted in right:
        assert before == 44
        assert after == restarted
    assert right[0][1] < 44 < 90 < right[1][1]
