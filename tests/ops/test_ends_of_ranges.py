"""Every operator at the ends of its ranges, against LiteRT: factors from 2^-40 to 2^40, zero points and accumulators at
their limits, floats that no integer is near.

Where LiteRT's own shift is undefined in C++ (a factor of 2^30 or more), or it aborts, we refuse; that is all that may
be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.ops.oracle import check
from tests.support.tflite_builder import VALID, TfliteBuilder
from tinycompile.dtypes import FLOAT32, INT8, UINT8, DType
from tinycompile.errors import UnsupportedError
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.quantize import Quantize

EXPONENTS = (-40, -33, -32, -31, -30, -16, -1, 0, 1, 7, 15, 22, 23, 24, 25, 28, 29, 30, 31, 32, 40)
ZERO_POINTS = ((0, 0), (-128, 127), (127, -128), (-128, -128), (5, -7))
ALL = np.arange(-128, 128).astype(np.int8)


def exact_or_too_large(run: Callable[[], object], exponent: int, largest: int = 29) -> None:
    """`run` compares with LiteRT; beyond a factor of about 2^`largest` it may be refused instead."""
    try:
        run()
    except UnsupportedError as error:
        assert exponent >= largest, error.render()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("QUANTIZE", {}),
        ("RELU", {}),
        ("RELU6", {}),
        ("RELU_N1_TO_1", {}),
        ("LEAKY_RELU", {"Alpha": 0.3}),
        ("LEAKY_RELU", {"Alpha": 1e-20}),
        ("TANH", {}),
    ],
)
def test_functions_of_one_value(kind: str, options: dict[str, float]) -> None:
    for exponent in EXPONENTS:
        for x_zero, y_zero in ZERO_POINTS:
            b = TfliteBuilder()
            x, y = b.tensor((256,), 1.3, x_zero), b.tensor((256,), 2.0**-exponent, y_zero)
            b.op(kind, [x], [y], **options)
            exact_or_too_large(lambda b=b, x=x, y=y: check(b, [y], {x: ALL}), exponent)


@pytest.mark.parametrize(("kind", "options"), [("ELU", {}), ("GELU", {"Approximate": False}), ("EXP", {})])
@pytest.mark.parametrize(("x_scale", "y_scale"), [(1e37, 1.0), (0.1, 1e-40)])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_what_is_no_number_in_a_table(kind: str, options: dict[str, bool], x_scale: float, y_scale: float) -> None:
    """Infinity times 0: an entry as LiteRT's, and no word of NumPy's to who compiles the model."""
    b = TfliteBuilder()
    x, y = b.tensor((256,), x_scale, 0), b.tensor((256,), y_scale, 3)
    b.op(kind, [x], [y], **options)
    check(b, [y], {x: ALL})


@pytest.mark.parametrize(("kind", "y_scale"), [("HARD_SWISH", 0.7), ("LOGISTIC", 1 / 256), ("TANH", 1 / 128)])
def test_functions_of_tiny_and_huge_values(kind: str, y_scale: float) -> None:
    for exponent in EXPONENTS:
        for x_zero, y_zero in ZERO_POINTS[1:]:
            b = TfliteBuilder()
            x = b.tensor((256,), 1.1 * 2.0**exponent, x_zero)
            y = b.tensor((256,), y_scale * (2.0**exponent if kind == "HARD_SWISH" else 1), y_zero)
            b.op(kind, [x], [y])
            exact_or_too_large(lambda b=b, x=x, y=y: check(b, [y], {x: ALL}), exponent, 24)


def test_hard_swish_with_an_output_scale_far_too_large() -> None:
    for exponent in (10, 16, 17, 24, 31, 40):
        b = TfliteBuilder()
        x, y = b.tensor((256,), 1.3, 5), b.tensor((256,), 2.0**exponent, -7)
        b.op("HARD_SWISH", [x], [y])
        check(b, [y], {x: ALL})


FLOATS = np.array(
    [0.0, -0.0, 0.5, -0.5, 0.49999997, -0.49999997, 1.5, 2.5, -2.5, 126.5, 127.5, 254.5, 255.5, -128.5, 1e3, -1e3]
    + [2147483520.0, 2147483648.0, -2147483648.0, 3e9, -3e9, 1e10, 1e18, -1e18, 9.3e18, 1e19, -1e19, 1e30, -1e30]
    + [3.4e38, -3.4e38, np.inf, -np.inf, np.nan, 1e-38, -1e-38, 1e-40, 1e-45, -1e-45],
    np.float32,
)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_quantisation_of_any_float(dtype: str) -> None:
    info = np.iinfo(dtype)
    for scale in (1.0, 0.1, 1e-30, 1e-38, 1e30, 3e38, 2.0**-40, 2.0**40):
        for zero_point in (info.min, info.min + 1, info.min + 128, info.max - 1, info.max):
            b = TfliteBuilder()
            x = b.tensor(FLOATS.shape, dtype="float32")
            y = b.tensor(FLOATS.shape, scale, zero_point, dtype=dtype)
            b.op("QUANTIZE", [x], [y])
            check(b, [y], {x: FLOATS})


def test_dequantisation_to_any_float() -> None:
    for scale in (1e-45, 1e-40, 1e-38, 1.0, 1e36, 3e38):
        for zero_point in (-128, 0, 127):
            b = TfliteBuilder()
            x, y = b.tensor((256,), scale, zero_point), b.tensor((256,), dtype="float32")
            b.op("DEQUANTIZE", [x], [y])
            check(b, [y], {x: ALL})


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("second", [-30, 0, 30])
def test_two_operands(kind: str, second: int) -> None:
    grid = [values.copy() for values in np.meshgrid(ALL[::5], ALL[::7], indexing="ij")]
    for exponent in EXPONENTS:
        factor = exponent + second if kind == "MUL" else exponent + max(second, 0) - 20
        if kind != "MUL" and factor >= -2:
            continue  # ADD aborts, and SUB shifts by a negative number; see below
        for zero_points in ((0, 0, 0), (-128, 127, 127), (127, -128, -128), (127, 127, 0)):
            b = TfliteBuilder()
            operands = [
                b.tensor(grid[0].shape, s, z) for s, z in zip((1.3, 1.1 * 2.0**second), zero_points, strict=False)
            ]
            y = b.tensor(grid[0].shape, 2.0**-exponent, zero_points[2])
            b.op(kind, operands, [y])
            inputs = dict(zip(operands, grid, strict=True))
            exact_or_too_large(lambda b=b, y=y, inputs=inputs: check(b, [y], inputs), factor)


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
def test_sums_for_which_the_output_scale_is_too_small_are_refused(kind: str) -> None:
    b = TfliteBuilder()
    operands = [b.tensor((4,), 2.0**20, 0), b.tensor((4,), 1.0, 0)]
    y = b.tensor((4,), 1.0, 0)
    b.op(kind, operands, [y])
    with pytest.raises(UnsupportedError, match="output scale is too small"):
        check(b, [y], dict.fromkeys(operands, ALL[:4]))


@pytest.mark.parametrize("axes", [[1, 2], [3], [1, 2, 3]])
def test_mean(axes: Sequence[int]) -> None:
    values = np.random.default_rng(1).choice([-128, 127, 0, 5, -77], (1, 7, 9, 13)).astype(np.int8)
    for exponent in EXPONENTS:
        for x_zero, y_zero in ZERO_POINTS:
            b = TfliteBuilder()
            x, axis = b.tensor(values.shape, 1.3, x_zero), b.constant(np.array(axes, np.int32))
            shape = [1 if i in axes else n for i, n in enumerate(values.shape)]
            y = b.tensor(shape, 2.0**-exponent, y_zero)
            b.op("MEAN", [x, axis], [y], KeepDims=True)
            exact_or_too_large(lambda b=b, x=x, y=y: check(b, [y], {x: values}), exponent)


def test_softmax() -> None:
    values = np.random.default_rng(1).integers(-128, 128, (20, 11)).astype(np.int8)
    for exponent in (*range(-25, -20), -1, 0, 1, 3, 4, 5, 6, 7, 20, 40):
        for beta in (1.0, 1e-3, 1e30):
            b = TfliteBuilder()
            x, y = b.tensor(values.shape, 1.1 * 2.0**exponent, 3), b.tensor(values.shape, 1 / 256, -128)
            b.op("SOFTMAX", [x], [y], Beta=beta)
            exact_or_too_large(lambda b=b, x=x, y=y: check(b, [y], {x: values}), -exponent, 20)


ENDS = np.array([-(2**31), -(2**31) + 1, -(2**31) + 300, -(2**30), -1, 0, 1, 2**30, 2**31 - 300, 2**31 - 2, 2**31 - 1])


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
@pytest.mark.parametrize("y_zero", [-128, 0, 127])
def test_accumulators_that_wrap(kind: str, y_zero: int) -> None:
    """Biases at the ends of int32, and anywhere; the sums of products go on beyond them."""
    rng = np.random.default_rng(y_zero + 128)
    biases = np.concatenate([ENDS, rng.integers(-(2**31), 2**31, 30), rng.integers(-500, 500, 9)]).astype(np.int32)
    channels, taps = biases.size, 6
    for exponent in EXPONENTS:
        b = TfliteBuilder()
        w_scale = 0.77 * 2.0**exponent
        weights = rng.integers(-128, 128, (channels, taps)).astype(np.int8)
        weights[::3] = 0  # dead filters
        shape = {"FULLY_CONNECTED": (channels, taps), "CONV_2D": (channels, 1, taps, 1)}
        values = rng.choice([-128, 127, 3], (5, taps)).astype(np.int8)
        if kind == "DEPTHWISE_CONV_2D":
            w = b.constant(weights.T.reshape(1, 1, taps, channels).copy(), w_scale)
        else:
            w = b.constant(weights.reshape(shape[kind]), w_scale)
        fully_connected = kind == "FULLY_CONNECTED"
        x = b.tensor(values.shape if fully_connected else (1, 5, taps, 1), 1.0, 77)
        y = b.tensor((5, channels) if fully_connected else (1, 5, 1, channels), 1.0, y_zero)
        options = {"DepthMultiplier": channels} if kind == "DEPTHWISE_CONV_2D" else {}
        if not fully_connected:
            options |= {"StrideH": 1, "StrideW": 1, "Padding": VALID, "DilationHFactor": 1, "DilationWFactor": 1}
        b.op(kind, [x, w, b.constant(biases, w_scale)], [y], **options)
        inputs = {x: values if fully_connected else values.reshape(1, 5, taps, 1)}
        largest = 1000 if fully_connected else 30
        exact_or_too_large(lambda b=b, y=y, inputs=inputs: check(b, [y], inputs), exponent, largest)


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=str)
def test_onnx_quantises_any_float_like_onnxruntime(dtype: DType) -> None:
    """Saturated, and a NaN is the smallest value. (onnx's own evaluator converts to int32 first, as x86-64 does.)"""
    ort = pytest.importorskip("onnxruntime")
    (low, high), values = dtype.range, FLOATS[np.abs(FLOATS) != np.float32(1e-45)]
    for scale in (1.0, 0.1, 1e-30, 1e-38, 1e30, 3e38, 2.0**-40, 2.0**40):
        for zero_point in (low, low + 133, high):
            node = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])
            x = helper.make_tensor_value_info("x", TensorProto.FLOAT, values.shape)
            y = helper.make_tensor_value_info("y", getattr(TensorProto, dtype.name.upper()), values.shape)
            constants = {"scale": np.float32(scale), "zero": np.array(zero_point, dtype.carrier)}
            initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
            graph = helper.make_graph([node], "g", [x], [y], initializers)
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
            session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            (expected,) = session.run(None, {"x": values})
            output = TensorType(values.shape, dtype, Quantization.per_tensor(float(np.float32(scale)), zero_point))
            sig = Signature((TensorType(values.shape, FLOAT32),), (output,))
            (actual,) = Quantize(dtype, "even").evaluate(sig, [values])
            np.testing.assert_array_equal(actual, expected, err_msg=f"{scale} {zero_point}")
