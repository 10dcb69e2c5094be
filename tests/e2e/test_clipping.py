"""`verify` with real samples names the tensors whose ranges clip, and what that costs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.support.tflite_builder import NONE, RELU6, TfliteBuilder
from tinycompile.cli import main
from tinycompile.verify.clipping import TensorRange
from tinycompile.verify.float_twin import FloatTwin, Steps

pytest.importorskip("ai_edge_litert", reason="the runtime that computes on floats")
RNG = np.random.default_rng(0)


def layer(b: TfliteBuilder, x: int, x_scale: float, y: int, activation: int) -> None:
    """FULLY_CONNECTED of eight to eight, its products about as large as its input."""
    weights = b.constant(RNG.integers(-127, 128, (8, 8)).astype(np.int8), 0.005)
    bias = b.constant(np.zeros(8, np.int32), x_scale * 0.005)
    b.op("FULLY_CONNECTED", [x, weights, bias], [y], FusedActivationFunction=activation)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> tinycompile.Build:
    """Wide enough, limited by its activation, and too narrow."""
    b, folder = TfliteBuilder(), tmp_path_factory.mktemp("clipping")
    x, wide = b.tensor((1, 8), 0.1, 0, name="x"), b.tensor((1, 8), 0.25, 0, name="net/wide")
    limited, narrow = b.tensor((1, 8), 6 / 255, -128, name="net/limited"), b.tensor((1, 8), 0.02, 0, name="net/narrow")
    layer(b, x, 0.1, wide, NONE)
    layer(b, wide, 0.25, limited, RELU6)
    layer(b, wide, 0.25, narrow, NONE)
    (folder / "model.tflite").write_bytes(b.build([x], [limited, narrow]))
    return tinycompile.compile(folder / "model.tflite", target="host", output=folder / "out")


def verified(build: tinycompile.Build, x: np.ndarray, *options: str) -> str:
    path = build.folder.parent / "samples.npz"
    np.savez(path, x=x)
    done = CliRunner().invoke(main, ["verify", str(build.folder), "--samples", str(path), *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_who_clips(build: tinycompile.Build) -> None:
    x = RNG.uniform(-12, 12, (40, 8)).astype(np.float32)
    found = json.loads(verified(build, x, "--json"))["ranges"]
    assert found["samples"] == 32
    tensors = {t["name"]: t for t in found["tensors"]}
    assert list(tensors) == ["x", "net/wide", "net/limited", "net/narrow"]
    assert not tensors["x"]["clipped"] and not tensors["net/wide"]["clipped"]
    assert tensors["net/limited"]["at_high"] and not tensors["net/limited"]["clipped"]  # RELU6 is what cuts it off
    narrow = tensors["net/narrow"]
    assert narrow["at_low"] + narrow["at_high"] >= narrow["clipped"] > 50
    assert narrow["lost_db"] > 20 and narrow["range"] == pytest.approx([-2.56, 2.54])
    assert narrow["real"][0] < -4 and narrow["real"][1] > 4
    limited, clipped = (output["db"] for output in found["outputs"])
    assert limited > 30 > clipped


def test_what_a_user_reads(build: tinycompile.Build) -> None:
    lines = verified(build, RNG.uniform(-20, 20, (4, 8)).astype(np.float32)).splitlines()
    assert "dB to the same model on floats, over 4 samples" in lines[1]
    assert lines[3] == "2 of 4 quantised tensors clip, which costs them 0.5 dB or more"
    assert any(line.startswith("  x (input): ") and "beyond -12.8 to 12.7" in line for line in lines[4:])
    assert any(
        line.startswith("  fully_connected_3 (FULLY_CONNECTED): ") and line.endswith(" dB lost") for line in lines[4:]
    )


def test_integers_say_nothing_of_ranges(build: tinycompile.Build) -> None:
    assert json.loads(verified(build, np.zeros((2, 8), np.int8), "--json"))["ranges"] is None


def test_what_clipping_costs() -> None:
    """Against the definition: noise with the clipped values rounded instead."""
    steps = Steps(np.array([0.5]), np.array([3]), 0, -128, 127)
    seen = TensorRange.of("a/b;c", None, "ADD", steps)
    real = np.array([0.1, 70.0, -3.2, -66.0])
    integers = steps.quantized(real)
    seen.add(steps, integers, real)
    assert (seen.label, seen.low, seen.high) == ("b", -65.5, 62.0)
    assert (seen.at_low, seen.at_high, seen.clipped) == (1, 1, 1)  # -66 is within a step of the end
    off = (real - steps.real(integers)) ** 2
    rounded = off.sum() - off[1] + 0.25 / 12
    assert seen.lost == pytest.approx(10 * np.log10(off.sum() / rounded), rel=1e-5)


def test_a_scalar_without_a_shape() -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 3), 0.5, 0), b.tensor((1, 3), 0.5, 0)
    b.op("ADD", [x, b.tensor((), 0.5, 0, data=b"\x04")], [y], FusedActivationFunction=NONE)
    twin = FloatTwin(b.build([x], [y]), 0)
    (found,) = twin.apply(twin.steps[0], {x: np.array([[1.0, 2.0, 3.0]], np.float32)}) or []
    np.testing.assert_array_equal(found, [[3.0, 4.0, 5.0]])


def test_weights_of_four_bits_become_floats() -> None:
    """Two to a byte, the low half first."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), 0.5, 0), b.tensor((1, 2), 0.5, 0)
    values = np.array([[1, -2, 3, -8], [7, 0, -1, 5]])
    packed = (values.ravel()[::2] & 15) | ((values.ravel()[1::2] & 15) << 4)
    w = b.tensor((2, 4), 0.25, dtype="int4", data=packed.astype(np.uint8).tobytes())
    b.op("FULLY_CONNECTED", [x, w], [y], FusedActivationFunction=NONE)
    twin = FloatTwin(b.build([x], [y]), 0)
    inputs = np.array([[1.0, 2.0, -3.0, 0.5]], np.float32)
    (found,) = twin.apply(twin.steps[0], {x: inputs}) or []
    np.testing.assert_array_equal(found, inputs @ (values.T * 0.25).astype(np.float32))
