"""Kernels of several operators from file to firmware: what every command shows, and new weights for their code."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.tflite_builder import NONE, SAME, TfliteBuilder
from tinycompile.build import Build
from tinycompile.profile import profile_build
from tinycompile.verify.compare import verify_build

X = np.random.default_rng(9).integers(-128, 128, (2, 5, 5, 16)).astype(np.int8)


def network(weights: np.ndarray, *, shown: bool = False) -> bytes:
    """A residual block, then x * sigmoid(x) behind a convolution.

    Args:
        shown: the convolution's result is an output of the model as well, and so is that of the sigmoid.
    """
    b = TfliteBuilder()
    shape, fields = (1, 5, 5, 16), {"StrideH": 1, "StrideW": 1, "Padding": SAME, "FusedActivationFunction": NONE}
    x, inner, branch = b.tensor(shape, 0.05, 3), b.tensor(shape, 0.2, -5), b.tensor(shape, 0.4, 4)
    total, wide, gate, y = (
        b.tensor(shape, scale, zero) for scale, zero in ((0.42, 2), (0.03, 9), (1 / 256, -128), (0.025, -80))
    )
    parts = weights.reshape(3, 16, 1, 1, 16)

    def convolution(source: int, source_scale: float, index: int, scale: float, result: int) -> None:
        bias = b.constant(np.arange(-800, 800, 100, np.int32), [source_scale * scale] * 16)
        b.op("CONV_2D", [source, b.constant(parts[index].copy(), [scale] * 16), bias], [result], **fields)

    convolution(x, 0.05, 0, 0.01, inner)
    convolution(inner, 0.2, 1, 0.02, branch)
    b.op("ADD", [branch, x], [total], FusedActivationFunction=NONE)
    convolution(total, 0.42, 2, 0.0004, wide)
    b.op("LOGISTIC", [wide], [gate])
    b.op("MUL", [wide, gate], [y], FusedActivationFunction=NONE)
    return b.build([x], [y, branch, gate] if shown else [y])


def some_weights(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-127, 128, 768).astype(np.int8)


def built(content: bytes, folder: Path, **options: object) -> Build:
    folder.mkdir(exist_ok=True)
    (folder / "net.tflite").write_bytes(content)
    return tinycompile.compile(folder / "net.tflite", output=folder / "out", **options)  # pyright: ignore[reportArgumentType]


def code_of(build: Build) -> list[str]:
    """Without the comment that says what it was made from."""
    files = (build.folder / name for name in ("net.c", "net_layers.h"))
    return [line for file in files for line in file.read_text().splitlines()[5:]]


def ops(build: Build) -> list[str]:
    return [layer["op"] for layer in build.report["layers"]]


@pytest.mark.parametrize("target", ["mps3-an547", "mps2-an385"])
def test_one_layer_everywhere(target: str, tmp_path: Path) -> None:
    build = built(network(some_weights(0)), tmp_path, target=target)
    assert ops(build) == ["conv2d", "conv2d + add", "conv2d + logistic + mul"]
    names = [layer["name"].count(" + ") for layer in build.report["layers"]]
    assert names == [0, 1, 2]
    code = (build.folder / "net.c").read_text()
    assert '1: conv2d + add "' in code and '" + "' in code
    outcome = verify_build(build, [X])
    assert outcome.difference is None
    assert outcome.tensors == len(X) * (3 + 1)  # the layers' and the model's output
    profile = profile_build(build)
    assert [row["name"] for row in profile["layers"]] == [layer["name"] for layer in build.report["layers"]]
    assert all(row["instructions"] > 100 for row in profile["layers"])


def test_outputs_inside_of_a_pattern_are_computed(tmp_path: Path) -> None:
    build = built(network(some_weights(0), shown=True), tmp_path, target="mps3-an547")
    assert ops(build) == ["conv2d", "conv2d", "add", "conv2d", "logistic", "mul"]
    assert verify_build(build, [X]).difference is None


@pytest.mark.parametrize("target", ["mps3-an547", "mps2-an385"])
def test_new_weights_for_old_code(target: str, tmp_path: Path) -> None:
    old = built(network(some_weights(0)), tmp_path / "old", target=target, weights="separate")
    assert "conv2d + add" in ops(old)
    new = built(network(some_weights(1)), tmp_path / "new", compatible_with=old.folder, weights="separate")
    assert ops(new) == ops(old)
    assert code_of(new) == code_of(old)
    assert verify_build(new, [X]).difference is None
    assert np.any(new.run(X) != old.run(X))


def test_a_deviation_is_that_of_the_layer(tmp_path: Path) -> None:
    """Its sum is off by one: what is compared first and deviates is what the sum leaves, not the convolution inside."""
    build = built(network(some_weights(0)), tmp_path, target="mps3-an547")
    code = build.folder / "net_layers.h"
    broken, count = re.subn(r"(TC_AFTER_SUM.*?start = )(-?\d+)", _one_more, code.read_text(), flags=re.DOTALL)
    assert count == 1
    code.write_text(broken)
    found = verify_build(Build(build.folder), [X]).difference
    assert found is not None
    assert (found.layer, found.tensor) == ("t2 + t3", "t3")


def _one_more(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]) + (1 << 22)}"
