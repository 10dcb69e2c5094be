"""Float and QDQ ONNX models from file to firmware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import tinycompile
from tests.support.full import FULL
from tests.support.onnx_builder import OnnxBuilder
from tests.support.plausible import model_inputs
from tinycompile import interpreter
from tinycompile.cli import main
from tinycompile.frontend import load
from tinycompile.quantize.measure import agreement, float_outputs, sqnr
from tinycompile.verify.compare import verify_build

onnxruntime = pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")

BARS = {"ic_resnet8": 0.97, "kws_dscnn": 0.93, "vww_mobilenet": 0.97, "ad_autoencoder": None}
"""Top-1 agreement with the float model; the autoencoder has no classes. Most samples of the keyword spotter are noise:
rounding the input alone changes the class of 1 to 7 in a hundred, by where its steps lie."""

SAMPLES = {"kws_dscnn": (80, 100)}
"""For calibration and held out, where the agreement isn't that of nearly all: elsewhere (40, 50)."""


@pytest.mark.parametrize("model", [m for m in BARS if m != "ic_resnet8" or FULL])
def test_float_models(model: str, shared: Callable[[str], Path], tmp_path: Path) -> None:
    source, golden = shared(f"models/{model}.onnx"), shared("golden")
    calibration, count = SAMPLES.get(model, (40, 50))
    np.savez(tmp_path / "calib.npz", x=model_inputs(model, golden, calibration, 0))
    method = "auto" if model == "kws_dscnn" else "mse"
    build = tinycompile.compile(source, output=tmp_path / "o", calib=tmp_path / "calib.npz", calib_method=method)

    held_out = model_inputs(model, golden, count, 99)
    floats = float_outputs(onnx.load(source), [{"input_1": x[None]} for x in held_out])[0]
    graph = load(build.source)
    ours = np.stack([interpreter.run(graph, [x[None]])[graph.outputs[0]] for x in held_out])
    assert sqnr(floats, ours) >= 20
    bar = BARS[model]
    assert bar is None or agreement(floats, ours) >= bar

    few = held_out[:3]
    assert np.array_equal(build.run(few, on="qemu").reshape(ours[:3].shape), ours[:3])
    outcome = verify_build(build, [few[:2].reshape(2, *build.inputs[0].shape)])
    assert outcome.difference is None and outcome.tensors > 10


def small_cnn(batch: int | str = "batch") -> onnx.ModelProto:
    """A float model in PyTorch's layout: convolution, batch normalisation, pooling, Flatten, Gemm."""
    b, rng = OnnxBuilder(), np.random.default_rng(0)
    x = b.input((batch, 3, 12, 12))

    def weights(*shape: int) -> str:
        return b.constant(rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape), np.float32)

    y = b.node("Conv", x, weights(8, 3, 3, 3), weights(8), pads=[1, 1, 1, 1])
    statistics = [b.constant(rng.uniform(0.5, 1.5, 8), np.float32) for _ in range(4)]
    y = b.node("Relu", b.node("BatchNormalization", y, *statistics))
    z = b.node("Conv", y, weights(8, 1, 3, 3), weights(8), pads=[1, 1, 1, 1], group=8)
    z = b.node("HardSwish", z)
    y = b.node("MaxPool", b.node("Add", y, z), kernel_shape=[2, 2], strides=[2, 2])
    y = b.node("Flatten", b.node("Sigmoid", y))
    b.output(b.node("Gemm", y, weights(5, 288), weights(5), transB=1))
    return b.model()


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cnn")
    onnx.save(small_cnn(), str(folder / "cnn.onnx"))
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (40, 3, 12, 12)).astype(np.float32)
    floats = float_outputs(onnx.load(folder / "cnn.onnx"), [{"x": v[None]} for v in x])[0]
    np.savez(folder / "calib.npz", x=x, y=floats.reshape(40, -1).argmax(1))
    return folder


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_command_line(cnn: Path, tmp_path: Path) -> None:
    """quantize writes what onnxruntime runs, build builds it, verify finds it bit-exact."""
    target, folder = tmp_path / "int8.onnx", tmp_path / "out"
    code, text = invoke("quantize", cnn / "cnn.onnx", "--calib", cnn / "calib.npz", "-o", target)
    assert code == 0 and "dB on 10 of 40 samples" in text, text
    code, text = invoke(
        "build", cnn / "cnn.onnx", "--calib", cnn / "calib.npz", "--eval", cnn / "calib.npz", "-o", folder
    )
    assert code == 0 and "top-1: float 100.00%" in text, text
    code, text = invoke("verify", folder, "--samples", cnn / "calib.npz", "--limit", "2")
    assert code == 0 and "0 differences" in text, text
    code, text = invoke("plan", cnn / "cnn.onnx", "--calib", cnn / "calib.npz", "--calib-method", "minmax")
    assert code == 0, text
    onnxruntime.InferenceSession(str(target))  # its fused integer operators insist on scalars
    graph = load(target)
    with np.load(cnn / "calib.npz") as file:
        samples = [{"x": x[None]} for x in file["x"][:20]]
    theirs = float_outputs(onnx.load(target), samples)[0]
    ours = np.stack([interpreter.run(graph, sample)[graph.outputs[0]] for sample in samples])
    step = next(graph.types[n.inputs[0]].scale for n in reversed(graph.nodes) if n.op.kind == "dequantize")
    assert np.abs(theirs.reshape(ours.shape) - ours).max() <= 1.01 * step


def test_no_transpose_is_executed_but_at_the_edge(cnn: Path, tmp_path: Path) -> None:
    build = tinycompile.compile(
        cnn / "cnn.onnx", output=tmp_path / "o", calib=cnn / "calib.npz", calib_method="minmax", layout="nhwc"
    )
    assert "transpose" not in [layer["kernel"] for layer in build.report["layers"]]
    assert build.inputs[0].shape == (1, 12, 12, 3)


def test_float_model_without_samples(cnn: Path, tmp_path: Path) -> None:
    code, text = invoke("build", cnn / "cnn.onnx", "-o", tmp_path / "o")
    assert code == 2 and "tinycompile calib" in text and "--calib calib.npz" in text
    assert not (tmp_path / "o").exists()


def test_calib_from_images(cnn: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs pillow")
    (tmp_path / "images").mkdir()
    pixels = np.zeros((30, 20, 3), np.uint8)
    pixels[10:20] = (255, 0, 51)  # what is left of the height
    for i in range(3):
        image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    arguments = ("--model", cnn / "cnn.onnx", "-o", tmp_path / "calib.npz")
    code, text = invoke("calib", tmp_path / "images", *arguments)
    assert code == 0 and "3 samples" in text
    with np.load(tmp_path / "calib.npz") as file:
        assert file["x"].shape == (3, 3, 12, 12)
        assert np.allclose(file["x"][0, :, 6, 6], (1, 0, 0.2), atol=1e-3)


def test_calib_from_tables_and_arrays(cnn: Path, tmp_path: Path) -> None:
    arguments = ("--model", cnn / "cnn.onnx", "-o", tmp_path / "calib.npz")
    table = tmp_path / "table.csv"
    table.write_text("heading," * 432 + "\n" + ",".join(["0.5"] * 432) + "\n")
    assert invoke("calib", table, *arguments)[0] == 0
    table.write_text("1,2,3\n")
    code, text = invoke("calib", table, *arguments)
    assert code == 2 and "line 1 has 3 numbers" in text
    np.save(tmp_path / "x.npy", np.zeros((7, 3, 12, 12)))
    code, text = invoke("calib", tmp_path / "x.npy", *arguments, "--limit", 5)
    assert code == 0 and "5 samples" in text
    np.save(tmp_path / "x.npy", np.zeros((7, 3, 12, 11)))
    assert invoke("calib", tmp_path / "x.npy", *arguments)[0] == 2
    assert invoke("calib", tmp_path / "nowhere", *arguments)[0] == 2
    (tmp_path / "empty").mkdir()
    assert invoke("calib", tmp_path / "empty", *arguments)[0] == 2


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"z": np.zeros((2, 3, 12, 12))}, "the file holds: z"),
        ({"x": np.zeros((2, 3, 12, 11))}, "the model takes (samples, 3, 12, 12)"),
        ({"x": np.full((2, 3, 12, 12), np.nan)}, "aren't finite"),
        ({"x": np.zeros((0, 3, 12, 12))}, "at least one"),
        ({"x": np.zeros((2, 3, 12, 12), dtype="U1")}, "is <U1"),
    ],
)
def test_bad_samples(arrays: dict[str, np.ndarray], words: str, cnn: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "calib.npz", **arrays)
    code, text = invoke("build", cnn / "cnn.onnx", "--calib", tmp_path / "calib.npz", "-o", tmp_path / "o")
    assert code == 2 and words in text, text


def test_options_that_make_no_sense(cnn: Path, tmp_path: Path) -> None:
    common = ("build", cnn / "cnn.onnx", "-o", tmp_path / "o")
    assert "--eval needs --calib" in invoke(*common, "--eval", cnn / "calib.npz")[1]
    assert "--calib-method" in invoke(*common, "--calib", cnn / "calib.npz", "--calib-method", "best")[1]
    assert "is no shape" in invoke(*common, "--shape", "1,3")[1]
    assert "--shape names 'z'" in invoke(*common, "--calib", cnn / "calib.npz", "--shape", "z=1,3,12,12")[1]
    assert "doesn't fit" in invoke(*common, "--calib", cnn / "calib.npz", "--shape", "x=1,3,12,13")[1]
