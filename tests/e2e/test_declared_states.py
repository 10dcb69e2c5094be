"""`--state in=out`: inputs and outputs that are a state, from file to firmware; whole sequences and their states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import tinycompile
from tests.support.onnx_builder import OnnxBuilder
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.cli import main
from tinycompile.errors import UsageError
from tinycompile.verify.compare import verify_build

SCALE, ZERO = 0.05, 7
WAYS = ("onnx", "onnx float", "tflite")


def onnx_model(quantised: bool) -> onnx.ModelProto:
    """y = relu(x + h) and its quarter as the next h, which has channels first."""
    b = OnnxBuilder()
    x, h = b.input((1, 4, 3, 2), name="x"), b.input((1, 4, 3, 2), name="h")

    def rounded(name: str) -> str:
        return b.activation(name, SCALE, ZERO) if quantised else name

    weights = np.random.default_rng(3).integers(-127, 128, (4, 4, 1, 1)).astype(np.int8)
    w = b.weights(weights, 0.01, 0)
    y = rounded(b.node("Relu", b.node("Add", rounded(x), rounded(h))))
    after = rounded(b.node("Conv", y, w))
    for name in (y, after):
        b.output(name)
    model = b.model()
    for node in model.graph.node:
        node.input[:] = [{y: "y", after: "h_next"}.get(name, name) for name in node.input]
        node.output[:] = [{y: "y", after: "h_next"}.get(name, name) for name in node.output]
    for value, name in zip(model.graph.output, ("y", "h_next"), strict=True):
        value.name = name
    return model


def tflite_model() -> bytes:
    b = TfliteBuilder()
    x, h, y, after = (b.tensor((1, 24), SCALE, ZERO, name=name) for name in ("x", "h", "y", "h_next"))
    b.op("ADD", [x, h], [y])
    w = b.constant(np.random.default_rng(4).integers(-127, 128, (24, 24)).astype(np.int8), 0.01)
    b.op("FULLY_CONNECTED", [y, w, -1], [after])
    return b.build([x, h], [y, after])


def saved(way: str, folder: Path) -> Path:
    path = folder / f"cell.{way.split()[0]}"
    if way == "tflite":
        path.write_bytes(tflite_model())
    else:
        onnx.save(onnx_model(way == "onnx"), str(path))
    return path


@pytest.mark.parametrize("way", WAYS)
def test_from_file_to_c(way: str, tmp_path: Path) -> None:
    source, options = saved(way, tmp_path), {"dtype": "float32"} if "float" in way else {}
    build = tinycompile.compile(source, "host", states={"h": "h_next"}, output=tmp_path / "o", **options)
    (state,), integers = build.report["states"], "float" not in way
    assert [len(build.report[edges]) for edges in ("inputs", "outputs")] == [1, 1]
    assert (state["dtype"], state["bytes"]) == (("int8", 24) if integers else ("float32", 96))
    assert build.report["options"]["states"] == {"h": "h_next"}
    shape, rng = build.inputs[0].shape, np.random.default_rng(0)
    x = rng.normal(0, 3, (2, 3, *shape)).astype(np.float32)
    x = x if build.inputs[0].dtype.is_float else rng.integers(-128, 128, x.shape).astype(np.int8)
    np.savez(tmp_path / "x.npz", x=x)
    outcome = verify_build(build, *build.sequences(tmp_path / "x.npz"))
    assert outcome.difference is None and outcome.samples == 6
    (counted,) = [layer for layer in outcome.layers if layer.name.startswith("state ")]
    assert counted.values == 6 * 24
    apart = verify_build(build, [x.reshape(6, *shape)])  # one sequence of six steps is another one
    assert apart.difference is None
    in_one, in_two = (
        build.execute([x.reshape(6, *shape)]).outputs[0],
        build.execute([x.reshape(6, *shape)], 3).outputs[0],
    )
    assert np.array_equal(in_one[:3], in_two[:3]) and not np.array_equal(in_one[3:], in_two[3:])
    with pytest.raises(Exception, match="sequences are"):
        np.savez(tmp_path / "other.npz", x=x[..., :1])
        build.sequences(tmp_path / "other.npz")


def test_commands(tmp_path: Path) -> None:
    source, folder = saved("tflite", tmp_path), str(tmp_path / "o")
    x = np.random.default_rng(0).integers(-128, 128, (2, 3, 24)).astype(np.int8)
    np.savez(tmp_path / "x.npz", x=x)
    run, samples, found = CliRunner().invoke, str(tmp_path / "x.npz"), str(tmp_path / "y.npz")
    built = run(main, ["build", str(source), "--target", "mps2-an386", "--state", "h=h_next", "-o", folder])
    assert built.exit_code == 0, built.output
    verified = run(main, ["verify", folder, "--samples", samples, "--sequence"])
    assert verified.exit_code == 0 and "bit-exact" in verified.output, verified.output
    bisected = run(main, ["bisect", folder, "--samples", samples, "--sequence"])
    assert bisected.exit_code == 0 and "no deviation: 6 samples" in bisected.output, bisected.output
    executed = run(main, ["run", folder, "--input", samples, "--sequence", "--output", found])
    assert executed.exit_code == 0 and np.load(found)["output_0"].shape == (2, 3, 24)
    wrong = run(main, ["build", str(source), "--state", "h", "-o", folder])
    assert wrong.exit_code and "write input=output" in wrong.output


def test_a_float_model_is_quantised_on_a_sequence(tmp_path: Path) -> None:
    """The samples have no states: what these are follows from the steps before."""
    source, rng = saved("onnx float", tmp_path), np.random.default_rng(0)
    np.savez(tmp_path / "calib.npz", x=rng.uniform(0, 3, (24, 4, 3, 2)).astype(np.float32))
    options = {"calib": tmp_path / "calib.npz", "calib_method": "minmax"}
    build = tinycompile.compile(source, "host", states={"h": "h_next"}, output=tmp_path / "o", **options)
    assert build.report["quantization"]["sqnr_db"] > 15
    outcome = verify_build(build, *build.sequences(tmp_path / "calib.npz", 1))
    assert outcome.difference is None and outcome.samples == 24
    b = OnnxBuilder()
    x, h = b.input((1, 4), name="x"), b.input((1, 6), name="h")
    b.output(y := b.node("Add", x, b.node("ReduceSum", h)))
    onnx.save(b.model(), str(tmp_path / "other.onnx"))
    for model, wrong, message in (
        (source, {"z": "h_next"}, "no input 'z'"),
        (source, {"x": "y", "h": "h_next"}, "no input would be left"),
        (tmp_path / "other.onnx", {"h": y}, r"h is float32\[1x6\], .* is float32\[1x4\]"),
    ):
        with pytest.raises(UsageError, match=message):
            tinycompile.compile(model, "host", states=wrong, **options)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"g": "y"}, "the model has no input 'g'"),
        ({"h": "z"}, "the model has no output 'z'"),
        ({"h": "y", "x": "y"}, "another state"),
        ({"h": "y", "x": "h_next"}, "no input would be left"),
        ({"h": "other"}, r"h is int8\[1x24\] .* and zero point 7, other is int8\[1x24\] .* and zero point 6"),
    ],
)
def test_what_is_no_state(states: dict[str, str], message: str, tmp_path: Path) -> None:
    b = TfliteBuilder()
    x, h, y, after = (b.tensor((1, 24), SCALE, ZERO, name=name) for name in ("x", "h", "y", "h_next"))
    other = b.tensor((1, 24), SCALE, ZERO - 1, name="other")
    for result in (y, after, other):
        b.op("ADD", [x, h], [result])
    (tmp_path / "m.tflite").write_bytes(b.build([x, h], [y, after, other]))
    with pytest.raises(UsageError) as error:
        tinycompile.compile(tmp_path / "m.tflite", "host", states=states)
    assert error.match(message) or message in str(error.value)
