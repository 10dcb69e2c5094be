"""A lean part of `make reliability`: sanitizers, analyzers, optimisation levels and clang on the example's model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.conftest import DIGITS
from tests.reliability.variants import (
    ANALYZERS,
    HOSTS,
    LEVELS,
    SANITIZERS,
    analyzed,
    at_level,
    by_clang,
    on_host,
    sanitized,
)
from tests.support.full import also
from tests.support.random_model import RandomModel
from tinycompile.build import Build

SAMPLES = np.load(DIGITS / "digits_samples.npz")
INPUTS, EXPECTED = [SAMPLES["input_0"][:3]], SAMPLES["output_0"][:3]

needs_clang = pytest.mark.skipif(shutil.which("clang") is None, reason="needs clang")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("variants") / "out"
    return tinycompile.compile(DIGITS / "digits_int8.tflite", target="mps2-an386", output=folder)


@pytest.mark.parametrize("kind", SANITIZERS)
def test_sanitizers_have_nothing_to_report(digits: Build, kind: str, tmp_path: Path) -> None:
    if shutil.which(SANITIZERS[kind][0]) is None:
        pytest.skip(f"needs {SANITIZERS[kind][0]}")
    np.testing.assert_array_equal(sanitized(digits, INPUTS, kind, tmp_path / "work")[0], EXPECTED)


@needs_clang
@pytest.mark.parametrize(("seed", "schedule"), [(2, "stream"), *also((2, "layer"), (7, "stream"), (11, "stream"))])
def test_random_networks_under_all_sanitizers(seed: int, schedule: str, tmp_path: Path) -> None:
    content, shape = RandomModel(seed).build(layers=5)
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    build = tinycompile.compile(path, target="mps2-an386", output=tmp_path / "out", schedule=schedule)
    x = np.random.default_rng(seed).integers(-128, 128, (2, *shape)).astype(np.int8)
    expected = build.run(x)
    for kind in SANITIZERS:
        np.testing.assert_array_equal(sanitized(build, [x], kind, tmp_path / kind)[0], expected)


@pytest.mark.parametrize("kind", ANALYZERS)
def test_analyzers_have_nothing_to_report(digits: Build, kind: str) -> None:
    if shutil.which(ANALYZERS[kind][0]) is None:
        pytest.skip(f"needs {ANALYZERS[kind][0]}")
    analyzed(digits, kind)


def test_every_optimisation_level_computes_the_same(digits: Build) -> None:
    for level in LEVELS:
        np.testing.assert_array_equal(at_level(digits, level, INPUTS)[0], EXPECTED, err_msg=level)


def test_link_time_optimisation_sees_what_assembly_calls(tmp_path: Path) -> None:
    """Armv8-M's fault handler leaves by a branch."""
    build = tinycompile.compile(DIGITS / "digits_int8.tflite", target="mps3-an547", output=tmp_path / "out")
    np.testing.assert_array_equal(at_level(build, "-O2 -flto", INPUTS)[0], EXPECTED)


@needs_clang
def test_clang_computes_the_same(digits: Build) -> None:
    np.testing.assert_array_equal(by_clang(digits, INPUTS)[0], EXPECTED)


@pytest.mark.parametrize("host", HOSTS)
def test_vectorising_compilers_of_this_machine_compute_the_same(digits: Build, host: str, tmp_path: Path) -> None:
    compiler, level = host.split()
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    np.testing.assert_array_equal(on_host(digits, INPUTS, compiler, level, tmp_path / "work")[0], EXPECTED)


@needs_clang
def test_a_sanitizer_would_report(tmp_path: Path) -> None:
    """The harness itself: a model with an overflow in it fails."""
    build = tinycompile.compile(DIGITS / "digits_int8.tflite", target="mps2-an386", output=tmp_path / "out")
    code = tmp_path / "out" / "digits_int8.c"
    overflow, start = "    volatile int32_t n = 2147483647;\n    n = n + 1;\n", "    uint8_t *const arena = "
    broken = code.read_text().replace(start, overflow + start)
    code.write_text(broken)
    for kind in SANITIZERS:
        with pytest.raises(Exception, match=r"non-zero exit|SIGABRT|died"):
            sanitized(build, INPUTS, kind, tmp_path / kind)
