"""Models in which TFLM computes other bytes than LiteRT, with inputs that show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.support.tflite_builder import NONE, TfliteBuilder


@dataclass(frozen=True, eq=False)
class Added:
    """An operator in a model under construction: its inputs with a value for each, and its result."""

    places: list[int]
    values: list[np.ndarray]
    result: int


Add = Callable[[TfliteBuilder], Added]
MODELS: dict[str, Add] = {}


def built(*names: str) -> tuple[bytes, list[np.ndarray]]:
    """(a file with these operators side by side, the values of its inputs)."""
    b = TfliteBuilder()
    added = [MODELS[name](b) for name in names]
    content = b.build([place for each in added for place in each.places], [each.result for each in added])
    return content, [value for each in added for value in each.values]


def _random(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max + 1, shape).astype(dtype)


def _layer(dtype: str, bias: str | None, *, per_channel: bool = False, x_scale: float = 0.03) -> Add:
    """FULLY_CONNECTED of 16 rows."""

    def add(b: TfliteBuilder) -> Added:
        rng = np.random.default_rng(1)
        x, y = b.tensor((16, 24), x_scale, dtype=dtype), b.tensor((16, 96), x_scale * 1.7, dtype=dtype)
        scales = rng.uniform(0.004, 0.02, 96) if per_channel else np.array([0.0123])
        operands = [x, b.constant(rng.integers(-127, 128, (96, 24)).astype(np.int8), scales)]
        if bias is not None:
            operands.append(b.constant(rng.integers(-5000, 5000, 96).astype(bias), x_scale * scales))
        fields = {"QuantizedBiasType": 2} if bias == "int32" and dtype == "int16" else {}
        b.op("FULLY_CONNECTED", operands, [y], FusedActivationFunction=NONE, **fields).version = 11 if fields else 4
        return Added([x], [_random((16, 24), dtype)], y)

    return add


def _unary(name: str, values: np.ndarray, x: tuple[float, int], y: tuple[float, int], **fields: float) -> Add:
    def add(b: TfliteBuilder) -> Added:
        dtype = values.dtype.name
        first, last = b.tensor(values.shape, *x, dtype=dtype), b.tensor(values.shape, *y, dtype=dtype)
        b.op(name, [first], [last], **fields)
        return Added([first], [values], last)

    return add


def _product(b: TfliteBuilder) -> Added:
    x, z = (b.tensor((1, 40_000), scale, dtype="int16") for scale in (0.0037049276, 0.00022973607))
    y = b.tensor((1, 40_000), 0.0016212178, dtype="int16")
    b.op("MUL", [x, z], [y], FusedActivationFunction=NONE)
    return Added([x, z], [_random((1, 40_000), "int16", seed) for seed in (0, 1)], y)


def _sum(b: TfliteBuilder) -> Added:
    x, y = b.tensor((500, 5), 0.038235854357481, -26), b.tensor((500,), 0.25, -3)
    b.op("SUM", [x, b.constant(np.array([1], np.int32))], [y], KeepDims=False)
    return Added([x], [_random((500, 5), "int8")], y)


ALL_INT8 = np.arange(-128, 128, dtype=np.int8)[None]
ALL_INT16 = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)[None]

MODELS |= {
    "fully_connected": _layer("int8", "int32"),
    "fully_connected_per_channel": _layer("int8", "int32", per_channel=True),
    "fully_connected_without_bias": _layer("int8", None),
    "fully_connected_int16": _layer("int16", "int64", per_channel=True, x_scale=0.0003),
    "fully_connected_int16_int32": _layer("int16", "int32", x_scale=0.0003),
    "fully_connected_int16_without_bias": _layer("int16", None, x_scale=0.0003),
    "mul_int16": _product,
    "sum": _sum,
    "relu6": _unary("RELU6", ALL_INT8, (0.05, -100), (0.03, -128)),
    "relu6_int16": _unary("RELU6", ALL_INT16, (0.0005, 0), (0.0003, 0)),
    "tanh": _unary("TANH", ALL_INT8, (0.031, 9), (0.0121, 5)),
    "softmax_int16": _unary("SOFTMAX", _random((4_000, 4), "int16") // 7, (0.001, 0), (2.0**-15, 0), Beta=1.0),
    "leaky_relu_int16": _unary("LEAKY_RELU", ALL_INT16, (0.0023413116, 0), (0.001, 0), Alpha=0.25),
}
