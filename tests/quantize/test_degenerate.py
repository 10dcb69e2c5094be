"""Degenerate ranges: nothing that a float model says may get lost without a word, whatever its magnitudes are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

import tinycompile
from tests.support.onnx_builder import OnnxBuilder
from tests.support.quantized_candidate import Candidate, observed_in, parameters_of
from tinycompile import interpreter
from tinycompile.cli import main
from tinycompile.errors import ModelFileError, QuantizationWarning, SamplesError, TinycompileWarning
from tinycompile.frontend import load
from tinycompile.frontend.onnx_file import static_model
from tinycompile.quantize import quantize
from tinycompile.quantize.measure import float_outputs, sqnr
from tinycompile.quantize.prepare import prepared
from tinycompile.quantize.qdq import to_qdq

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")

Layer = Callable[[OnnxBuilder, str, np.ndarray, np.ndarray], str]

DECADES = range(-9, 4)
CHANNELS, DEPTH = 4, 6


def conv(b: OnnxBuilder, x: str, w: np.ndarray, bias: np.ndarray) -> str:
    return b.node("Conv", x, b.constant(w, np.float32), b.constant(bias, np.float32))


def depthwise(b: OnnxBuilder, x: str, w: np.ndarray, bias: np.ndarray) -> str:
    return b.node("Conv", x, b.constant(w, np.float32), b.constant(bias, np.float32), group=CHANNELS)


def transposed(b: OnnxBuilder, x: str, w: np.ndarray, bias: np.ndarray) -> str:
    weights = b.constant(w.transpose(1, 0, 2, 3), np.float32)
    return b.node("ConvTranspose", x, weights, b.constant(bias, np.float32))


def gemm(b: OnnxBuilder, x: str, w: np.ndarray, bias: np.ndarray) -> str:
    return b.node("Gemm", x, b.constant(w, np.float32), b.constant(bias, np.float32), transB=1)


def matmul_add(b: OnnxBuilder, x: str, w: np.ndarray, bias: np.ndarray) -> str:
    return b.node("Add", b.node("MatMul", x, b.constant(w.T, np.float32)), b.constant(bias, np.float32))


LAYERS: dict[str, tuple[Layer, tuple[int, ...], tuple[int, ...]]] = {
    "conv": (conv, (1, DEPTH, 5, 5), (CHANNELS, DEPTH, 3, 3)),
    "depthwise": (depthwise, (1, CHANNELS, 5, 5), (CHANNELS, 1, 3, 3)),
    "transposed": (transposed, (1, DEPTH, 5, 5), (CHANNELS, DEPTH, 3, 3)),
    "gemm": (gemm, (1, DEPTH), (CHANNELS, DEPTH)),
    "matmul_add": (matmul_add, (1, DEPTH), (CHANNELS, DEPTH)),
}


def model_of(kind: str, weights: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    layer, shape, _ = LAYERS[kind]
    b = OnnxBuilder()
    b.output(layer(b, b.input(shape), weights, bias))
    return b.model()


def initializers(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def quantized(model: onnx.ModelProto, data: list[dict[str, Any]]) -> Candidate:
    graph = prepared(model, static_model(model, "test").shapes)
    return Candidate.of(to_qdq(graph, parameters_of(observed_in(graph, data))), "test", {})


def bounds(kind: str, candidate: Candidate, weights: np.ndarray, largest: float) -> np.ndarray:
    """What 8 bits cost at most, per channel: steps of output and input, of weights and bias with 127 steps a channel.

    A hundredth of an output's step is what raising a channel's scale may cost.
    """
    constants = initializers(candidate.model.proto)
    (output,) = (o.name for o in candidate.model.proto.graph.output)
    x, y = float(constants["x_scale"]), float(constants[f"{output}_scale"])
    rows = np.abs(weights.reshape(CHANNELS, -1)).astype(np.float64)
    step = rows.max(axis=1) / 127
    return 1.01 * y + rows.sum(axis=1) * x + rows.shape[1] * step / 2 * (largest + x) + x * step / 2


@pytest.mark.parametrize("kind", LAYERS)
def test_a_channel_of_any_magnitude_is_within_the_steps_of_8_bits(kind: str) -> None:
    """12 decades of one channel's weights and of its bias, beside channels of ordinary size."""
    rng = np.random.default_rng(0)
    _, shape, weights_shape = LAYERS[kind]
    data = [{"x": rng.normal(0, 1, shape).astype(np.float32)} for _ in range(3)]
    largest = max(float(np.abs(sample["x"]).max()) for sample in data)
    wrong = list[str]()
    for exponent in DECADES:
        for bias_exponent in DECADES[::2]:
            weights = rng.normal(0, 0.5, weights_shape).astype(np.float32)
            bias = rng.normal(0, 1, CHANNELS).astype(np.float32)
            weights[1] *= np.float32(10.0**exponent)
            bias[1] = 10.0**bias_exponent
            model = model_of(kind, weights, bias)
            candidate = quantized(model, data)
            error = np.abs(candidate.outputs(data)[0].astype(np.float64) - float_outputs(model, data)[0])
            per_channel = np.moveaxis(error, 2, 0).reshape(CHANNELS, -1).max(axis=1)
            limit = bounds(kind, candidate, weights, largest)
            if np.any(per_channel > limit):
                wrong.append(f"1e{exponent}, 1e{bias_exponent}: {per_channel / limit}")
    assert not wrong, wrong[:5]


def two_layers(scale: float = 1.0, first: np.ndarray | None = None, bias: np.ndarray | None = None) -> OnnxBuilder:
    """A convolution with ReLU, then a pointwise one; `scale` is what the second one's weights are multiplied with."""
    b, rng = OnnxBuilder(), np.random.default_rng(5)
    weights = rng.normal(0, 0.3, (CHANNELS, 3, 3, 3)).astype(np.float32) if first is None else first
    values = rng.normal(0, 0.3, CHANNELS).astype(np.float32) if bias is None else bias
    y = b.node("Relu", conv(b, b.input((1, 3, 6, 6)), weights, values))
    b.output(conv(b, y, (rng.normal(0, 0.5, (5, CHANNELS, 1, 1)) * scale).astype(np.float32), np.zeros(5, np.float32)))
    return b


def written(model: onnx.ModelProto, x: np.ndarray, folder: Path) -> tuple[Path, Path]:
    onnx.save(model, str(folder / "net.onnx"))
    np.savez(folder / "calib.npz", x=x)
    return folder / "net.onnx", folder / "calib.npz"


def some_images(count: int = 12, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(6).normal(0, 1, (count, 3, 6, 6)) * scale).astype(np.float32)


@pytest.mark.parametrize(("images", "weights"), [(1e-30, 1.0), (1e30, 1.0), (1e-20, 1e20), (1e20, 1e-20), (1e-32, 1.0)])
def test_the_unit_of_a_range_does_not_matter(images: float, weights: float, tmp_path: Path) -> None:
    """A bias of that size, too: the ratio to the usual model is a factor."""
    for name, image, weight in (("usual", 1.0, 1.0), ("other", images, weights)):
        bias = np.random.default_rng(5).normal(0, 0.3, CHANNELS) * image
        (tmp_path / name).mkdir()
        model = two_layers(weight, bias=bias.astype(np.float32)).model()
        found = quantize(*written(model, some_images(scale=image), tmp_path / name), method="minmax")
        assert found.trials[-1].sqnr > 30, (name, found.trials)


@pytest.mark.filterwarnings("ignore::tinycompile.errors.QuantizationWarning")
def test_constant_and_zero_tensors(tmp_path: Path) -> None:
    """Dead filters with a bias, without one, and a layer that is zero altogether."""
    for number, bias in enumerate(([0.7, -0.7, 0, 3], [0.7] * CHANNELS, [0] * CHANNELS, [-1] * CHANNELS)):
        (tmp_path / str(number)).mkdir()
        dead = np.zeros((CHANNELS, 3, 3, 3), np.float32)
        model = two_layers(first=dead, bias=np.array(bias, np.float32)).model()
        found = quantize(*written(model, some_images(), tmp_path / str(number)), method="minmax")
        assert found.trials[0].sqnr > 40, bias


@pytest.mark.parametrize(("kind", "options"), [("Transpose", {"perm": [0, 3, 1, 2]}), ("Flatten", {})])
def test_a_network_that_only_moves_values(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    """It has no layer that could be worse than another."""
    b, images = OnnxBuilder(), some_images()
    b.output(b.node(kind, b.input((1, *images.shape[1:])), **options))
    found = quantize(*written(b.model(), images, tmp_path))
    assert found.sqnr > 35
    assert not found.layers
    assert not any("worst" in line for line in found.lines())


def test_an_outlier_is_named(tmp_path: Path) -> None:
    images = some_images(200)
    images[8, 1, 2, 3] = 1e4
    with pytest.warns(QuantizationWarning, match="'x' are the same 8-bit number"):
        quantize(*written(two_layers().model(), images, tmp_path), method="minmax")


def test_a_tensor_that_is_always_zero_is_named(tmp_path: Path) -> None:
    model = two_layers(bias=np.full(CHANNELS, -1e3, np.float32)).model()
    with pytest.warns(QuantizationWarning) as caught:
        quantize(*written(model, some_images(), tmp_path), method="minmax")
    texts = [str(each.message).split(": ", 1)[1] for each in caught]
    assert [text.split(" for every")[0] for text in texts] == [f"tensor {n!r} is zero" for n in ("relu_4", "conv_7")]


@pytest.mark.filterwarnings("ignore::tinycompile.errors.QuantizationWarning")
def test_a_product_of_scales_that_leaves_float32_is_named(tmp_path: Path) -> None:
    """The float model itself is near the smallest numbers there."""
    model = two_layers(bias=np.full(CHANNELS, 1e-37, np.float32)).model()
    with pytest.warns(QuantizationWarning, match=r"conv_3, channel 0: weight scale raised .* of the largest output"):
        quantize(*written(model, some_images(scale=1e-36), tmp_path), method="minmax")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(value: float, tmp_path: Path) -> None:
    weights = np.ones((CHANNELS, 3, 3, 3), np.float32)
    weights[1, 2, 0, 0] = value
    with pytest.raises(ModelFileError, match=r"Conv 'conv_.*': 1 of 108 values of 'constant_1' are not finite"):
        quantize(*written(two_layers(first=weights).model(), some_images(), tmp_path))
    bias = np.array([0, value, 0, 0], np.float32)
    with pytest.raises(ModelFileError, match=r"1 of 4 values of 'constant_2' are not finite"):
        quantize(*written(two_layers(bias=bias).model(), some_images(), tmp_path))


def test_a_batch_normalisation_that_leaves_float32_is_refused_by_name(tmp_path: Path) -> None:
    b = OnnxBuilder()
    y = conv(b, b.input((1, 3, 6, 6)), np.full((CHANNELS, 3, 3, 3), 1e25, np.float32), np.zeros(CHANNELS, np.float32))
    statistics = [b.constant(np.full(CHANNELS, v), np.float32) for v in (1e20, 0, 0, 1)]
    b.output(b.node("BatchNormalization", y, *statistics))
    with pytest.raises(ModelFileError, match="of 'constant_1_folded' are not finite"):
        quantize(*written(b.model(), some_images(), tmp_path))


def test_values_that_overflow_are_refused_by_name(tmp_path: Path) -> None:
    b, huge = two_layers(1e30), some_images(scale=1e20)
    with pytest.raises(SamplesError, match=r"tensor 'conv_\d+' of the float model is not finite.* sample 0"):
        quantize(*written(b.model(), huge, tmp_path))


def test_samples_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    images = some_images()
    images[3, 0, 0, 0] = np.nan
    with pytest.raises(SamplesError, match="input 'x' has values that aren't finite"):
        quantize(*written(two_layers().model(), images, tmp_path))


def nearly_dead(decade: float) -> onnx.ModelProto:
    weights = np.random.default_rng(7).normal(0, 0.3, (CHANNELS, 3, 3, 3)).astype(np.float32)
    weights[2] *= np.float32(10.0**decade)
    return two_layers(first=weights, bias=np.array([0.1, 0.2, 1.5, 0.3], np.float32)).model()


@pytest.mark.parametrize("decade", [-3, -5, -12])
def test_the_c_of_a_nearly_dead_channel_is_exact(decade: int, tmp_path: Path) -> None:
    """And the report says what was raised."""
    source, calib = written(nearly_dead(decade), some_images(), tmp_path)
    build = tinycompile.compile(source, output=tmp_path / "out", calib=calib, calib_method="minmax", target="host")
    graph, x = load(build.source), some_images(4)
    expected = np.stack([interpreter.run(graph, [image[None]])[graph.outputs[0]] for image in x])
    np.testing.assert_array_equal(build.run(x).reshape(expected.shape), expected)
    floats = float_outputs(onnx.load(source), [{"x": image[None]} for image in x])[0]
    assert sqnr(floats, expected) > 30
    raised = build.report["quantization"]["raised_channels"]
    assert [entry["channel"] for entry in raised] == ([2] if decade < -4 else []), raised
    assert all(entry["relative_error"] < 1e-5 and entry["factor"] > 1 for entry in raised)


def test_python_callers_get_the_warnings_of_the_command_line(tmp_path: Path) -> None:
    model = two_layers(bias=np.full(CHANNELS, -1e3, np.float32)).model()
    source, calib = written(model, some_images(), tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tinycompile.compile(source, output=tmp_path / "a", calib=calib, calib_method="minmax", target="host")
    ours = [str(each.message) for each in caught if issubclass(each.category, TinycompileWarning)]
    arguments = ["build", str(source), "--calib", str(calib), "--calib-method", "minmax", "--target", "host"]
    result = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "b"), "--quiet"])
    assert result.exit_code == 0 and ours
    assert result.stderr.splitlines() == [f"warning: {text}" for text in ours]
