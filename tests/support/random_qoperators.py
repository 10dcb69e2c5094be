"""Random models of one quantised operator: QLinear ones of ONNX and com.microsoft, with every attribute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from tests.support.onnx_builder import OnnxBuilder

MICROSOFT = "com.microsoft"
Shape = Sequence[int]


@dataclass
class RandomQOperators:
    """A model of the operator `kind`; everything follows from the seed."""

    kind: str
    seed: int
    builder: OnnxBuilder = field(default_factory=OnnxBuilder)
    feeds: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, *self.kind.encode()])
        self.element_type = self.pick("int8", "uint8")

    def build(self) -> onnx.ModelProto:
        """Its inputs are in `feeds` afterwards."""
        name, dtype = KINDS[self.kind](self)
        self.builder.output(name, dtype)
        return self.builder.model()

    # Values.

    def pick(self, *values: Any) -> Any:
        return values[self.rng.integers(len(values))]

    def flag(self) -> bool:
        return bool(self.rng.integers(2))

    def integers(self, shape: Shape, dtype: str) -> np.ndarray:
        if dtype == "bool":
            return self.rng.integers(2, size=tuple(shape)).astype(np.bool_)
        limits = np.iinfo(dtype)
        return self.rng.integers(limits.min, limits.max + 1, tuple(shape)).astype(dtype)

    def input(self, shape: Shape, dtype: str = "") -> str:
        """An input of random integers, or, of float32, of random numbers."""
        name, dtype = f"x{len(self.feeds)}", dtype or self.element_type
        floats = dtype == "float32"
        self.feeds[name] = (
            self.rng.normal(0, 2, tuple(shape)).astype(np.float32) if floats else self.integers(shape, dtype)
        )
        return self.builder.input(shape, dtype, name)

    def parameters(self, scale: float = 0.0, dtype: str = "", zero_point: int | None = None) -> list[str]:
        """[scale, zero point] of a tensor; the zero point may be left out where it is 0 (then "")."""
        dtype = dtype or self.element_type
        scale = scale or float(self.rng.choice([0.05, 0.1, 0.0371, 0.25, 0.0123]))
        zero = int(self.rng.integers(-40, 40)) + (128 if dtype == "uint8" else 0) if zero_point is None else zero_point
        return [self.builder.constant(scale, np.float32), self.builder.constant(zero, dtype)]

    def tensor(self, shape: Shape, constant: bool = False) -> list[str]:
        """[tensor, scale, zero point]."""
        value = self.builder.constant(self.integers(shape, self.element_type)) if constant else self.input(shape)
        return [value, *self.parameters()]

    def weights(self, shape: Shape, axis: int, dtype: str = "") -> list[str]:
        """[constant, scale, zero point], of one scale, or of one for each channel."""
        dtype = dtype or str(self.pick("int8", "uint8" if self.element_type == "uint8" else "int8"))
        channels = () if self.flag() else (shape[axis],)
        scale = self.rng.uniform(0.002, 0.02, channels)
        zero = self.rng.integers(-9, 9, channels) * self.flag() + (128 if dtype == "uint8" else 0)
        values = self.builder.constant(self.integers(shape, dtype))
        return [values, self.builder.constant(scale, np.float32), self.builder.constant(zero, dtype)]

    def node(self, kind: str, operands: Sequence[str], domain: str = MICROSOFT, **attributes: Any) -> str:
        return self.builder.node(kind, *operands, domain=domain, **attributes)

    def window(self, rank: int = 2) -> dict[str, Any]:
        """kernel_shape, strides and padding of a window."""
        kernel = [int(k) for k in self.rng.integers(1, 4, rank)]
        pads = [int(self.rng.integers(k)) for k in [*kernel, *kernel]]
        more: dict[str, Any] = {"pads": pads} if self.flag() else {"auto_pad": self.pick("SAME_UPPER", "VALID")}
        return {"kernel_shape": kernel, "strides": [int(s) for s in self.rng.integers(1, 3, rank)], **more}

    def pairs_of_shapes(self) -> tuple[Shape, Shape]:
        shapes: list[tuple[Shape, Shape]] = [
            ((1, 3, 4, 5), (1, 3, 4, 5)),
            ((1, 3, 4, 5), (1, 3, 1, 1)),
            ((1, 3, 4, 5), (5,)),
            ((1, 1, 4, 5), (1, 3, 4, 1)),
            ((2, 6), ()),
        ]
        return shapes[self.rng.integers(len(shapes))]


Result = tuple[str, str]
"""Name and type of a model's output."""
Maker = Callable[[RandomQOperators], Result]


def _binary(q: RandomQOperators) -> Result:
    a, b = q.pairs_of_shapes()
    constant = q.flag()
    operands = [*q.tensor(a), *q.tensor(b, constant)]
    if q.flag():
        operands = [*operands[3:], *operands[:3]]
    return q.node(q.kind, [*operands, *q.parameters()]), q.element_type


def _unary(q: RandomQOperators) -> Result:
    more = {"alpha": float(q.rng.uniform(0.01, 0.9))} if q.kind == "QLinearLeakyRelu" and q.flag() else {}
    x = q.tensor(q.pick((1, 3, 4, 5), (2, 40), (200,)))
    return q.node(q.kind, [*x, *q.parameters(1 / 256 if q.kind == "QLinearSigmoid" else 0.0)], **more), q.element_type


def _softmax(q: RandomQOperators) -> Result:
    shape = q.pick((1, 3, 4, 5), (2, 40), (1, 9))
    axis = int(q.rng.integers(-len(shape), len(shape)))
    y = q.parameters(1 / 256, zero_point=-128 if q.element_type == "int8" else 0)
    return q.node("QLinearSoftmax", [*q.tensor(shape), *y], axis=axis, opset=q.pick(11, 12, 13, 17)), q.element_type


def _average(q: RandomQOperators) -> Result:
    last = q.flag()
    shape = (1, 7, 6, 3) if last else (1, 3, 7, 6)
    more = {} if q.flag() else {"ceil_mode": 1} if q.flag() else {"count_include_pad": 1}
    window = q.window()
    operands = [*q.tensor(shape), *q.parameters()]
    return q.node(q.kind, operands, channels_last=int(last), **window, **more), q.element_type


def _global_average(q: RandomQOperators) -> Result:
    return q.node(q.kind, [*q.tensor((1, 7, 6, 3)), *q.parameters()], channels_last=int(q.flag())), q.element_type


def _concat(q: RandomQOperators) -> Result:
    shape, axis = (1, 3, 4, 2), int(q.rng.integers(-4, 4))
    operands = [n for i in range(q.rng.integers(1, 4)) for n in q.tensor(shape, constant=i > 0 and q.flag())]
    return q.node(q.kind, [*q.parameters(), *operands], axis=axis), q.element_type


def _reduce_mean(q: RandomQOperators) -> Result:
    axes = [int(a) for a in q.rng.choice(4, q.rng.integers(1, 4), replace=False)]
    axes = [a - 4 if q.flag() else a for a in axes]
    operands = [*q.tensor((1, 3, 4, 5)), *q.parameters()]
    return q.node(q.kind, operands, axes=axes, keepdims=int(q.flag())), q.element_type


def _where(q: RandomQOperators) -> Result:
    shapes = [(1, 3, 4, 5), (1, 1, 4, 5), (5,), ()]
    order = [int(i) for i in q.rng.permutation(4)[:2]]
    condition = q.input((1, 3, 4, 5), "bool")
    x, y = q.tensor(shapes[order[0]], constant=q.flag()), q.tensor(shapes[order[1]], constant=q.flag())
    return q.node(q.kind, [condition, *x, *y, *q.parameters()]), q.element_type


def _conv(q: RandomQOperators) -> Result:
    contrib, rank = q.kind == "com.microsoft.QLinearConv", int(q.pick(2, 2, 1))
    last, group = contrib and q.flag() and rank == 2, int(q.pick(1, 1, 2, 4))
    size = [8, 7][:rank]
    shape = [1, *size, 4] if last else [1, 4, *size]
    window = q.window(rank)
    kernel = window["kernel_shape"]
    weights = q.weights([8, 4 // group, *kernel], 0)
    operands = [*q.tensor(shape), *weights, *q.parameters(0.5)]
    if q.flag():
        operands.append(q.builder.constant(q.rng.integers(-3000, 3000, 8), np.int32))
    more = {"channels_last": 1} if last else {}
    if q.flag():
        more["dilations"] = [int(d) for d in q.rng.integers(1, 3, rank)]
        window.pop("auto_pad", None)
    domain = MICROSOFT if contrib else ""
    return q.node("QLinearConv", operands, domain, **window, group=group, **more), q.element_type


def _matmul(q: RandomQOperators) -> Result:
    shapes = [((3, 12), (12, 5)), ((1, 2, 3, 12), (12, 5)), ((2, 3, 12), (2, 12, 5)), ((1, 2, 3, 12), (1, 2, 12, 5))]
    a, b = shapes[q.rng.integers(len(shapes))]
    second = q.tensor(b) if q.flag() else q.weights(b, -1) if len(b) == 2 else q.tensor(b, constant=True)
    return q.node("QLinearMatMul", [*q.tensor(a), *second, *q.parameters(1.5)], ""), q.element_type


def _gemm(q: RandomQOperators) -> Result:
    turned_a, turned_b = q.flag(), q.flag()
    a, b = ((12, 3) if turned_a else (3, 12)), ((5, 12) if turned_b else (12, 5))
    first = q.tensor(a)
    second = q.tensor(b) if q.flag() else q.weights(b, 0 if turned_b else 1)
    operands, real = [*first, *second], q.flag()
    if q.flag():
        operands.append(q.builder.constant(q.rng.integers(-3000, 3000, q.pick((5,), (1, 5), (1,), ())), np.int32))
    elif not real:
        operands.append("")
    operands += [] if real else q.parameters(1.5)
    alpha = q.pick(1.0, 0.5, 0.3)
    return q.node("QGemm", operands, alpha=alpha, transA=int(turned_a), transB=int(turned_b)), (
        "float32" if real else q.element_type
    )


def _matmul_integer(q: RandomQOperators) -> Result:
    """Also with zero points of columns, and both operands computed."""
    shapes = [((3, 12), (12, 5)), ((2, 1, 3, 12), (12, 5)), ((2, 3, 12), (2, 12, 5)), ((3, 12), (4, 12, 5))]
    (a, b), other = shapes[q.rng.integers(len(shapes))], q.pick("int8", "uint8")
    constant, columns = q.flag(), q.flag()
    second = q.builder.constant(q.integers(b, other)) if constant else q.input(b, other)
    zeros = [q.builder.constant(q.integers((), q.element_type)), ""][q.rng.integers(2)]
    operands = [q.input(a), second, zeros]
    if constant or q.flag():
        many = columns and constant and len(b) == 2
        operands.append(q.builder.constant(q.integers((b[-1],) if many else (), other)))
    return q.node("MatMulInteger", operands, ""), "int32"


def _conv_integer(q: RandomQOperators) -> Result:
    rank, group = int(q.pick(2, 2, 1)), int(q.pick(1, 1, 2, 4))
    window, other = q.window(rank), q.pick("int8", "uint8")
    kernel = window["kernel_shape"]
    weights = q.builder.constant(q.integers((8, 4 // group, *kernel), other))
    operands = [q.input((1, 4, *[8, 7][:rank]), "uint8"), weights]
    if q.flag():
        operands += [q.builder.constant(q.integers((), "uint8"))]
        operands += [q.builder.constant(q.integers((), other))] if q.flag() else []
    return q.node("ConvInteger", operands, "", group=group, **window), "int32"


def _to_float(q: RandomQOperators) -> Result:
    columns = q.flag()
    b_scale = q.builder.constant(q.rng.uniform(0.002, 0.02, (5,) if columns else ()), np.float32)
    zero = q.builder.constant(q.rng.integers(0, 60, (5,) if columns else ()), "int8") if q.flag() else ""
    bias = [q.builder.constant(q.rng.normal(0, 1, 5), np.float32)] if q.flag() else []
    weights = q.builder.constant(q.integers((12, 5), "int8"))
    if q.kind == "DynamicQuantizeMatMul":
        return q.node(q.kind, [q.input((2, 3, 12), "float32"), weights, b_scale, zero, *bias]), "float32"
    scale, a_zero = q.parameters()
    return q.node(q.kind, [q.input((2, 3, 12)), weights, scale, b_scale, a_zero, zero, *bias]), "float32"


def _lstm(q: RandomQOperators) -> Result:
    size, hidden, steps, kind = q.pick(3, 6), q.pick(4, 9), q.pick(1, 5, 40), q.pick("int8", "uint8")
    direction = q.pick("forward", "reverse", "bidirectional")
    sides, zero = 2 if direction == "bidirectional" else 1, 0 if kind == "int8" else int(q.rng.integers(100, 150))
    each = (sides, 4 * hidden) if q.flag() else (sides,)

    def floats(*shape: int) -> np.ndarray:
        return q.rng.normal(0, 0.5, shape).astype(np.float32)

    def parameters() -> list[str]:
        scales = q.builder.constant(q.rng.uniform(0.002, 0.02, each), np.float32)
        return [scales, q.builder.constant(np.full(each, zero), kind)]

    x = q.input((steps, 1, size), "float32")
    weights = [q.builder.constant(q.integers((sides, n, 4 * hidden), kind)) for n in (size, hidden)]
    bias = q.builder.constant(floats(sides, 8 * hidden)) if q.flag() else ""
    states = [q.input((sides, 1, hidden), "float32") for _ in "hc"] if q.flag() else ["", ""]
    peepholes = q.builder.constant(floats(sides, 3 * hidden)) if q.flag() else ""
    operands = [x, *weights, bias, "", *states, peepholes, *parameters(), *parameters()]
    more: dict[str, Any] = {"clip": float(q.rng.uniform(0.5, 2))} if q.flag() else {}
    result = q.builder.node(
        "DynamicQuantizeLSTM", *operands, domain=MICROSOFT, outputs=3, hidden_size=hidden, direction=direction,
        input_forget=int(q.flag()), **more,
    )  # fmt: skip
    for state in q.builder.nodes[-1].output[1:]:
        q.builder.output(state)
    return result, "float32"


def _attention(q: RandomQOperators) -> Result:
    batch, queries, heads, size = 1, 5, q.pick(1, 2, 3), 4
    width, past = heads * size, q.pick(0, 0, 3)
    x, weights = q.input((batch, queries, 8), "uint8"), q.builder.constant(q.integers((8, 3 * width), "int8"))
    scales = [q.builder.constant(0.02, np.float32)]
    scales += [q.builder.constant(q.rng.uniform(0.003, 0.01, q.pick((), (3 * width,))), np.float32)]
    bias = q.builder.constant(q.rng.normal(0, 1, 3 * width), np.float32)
    kinds = [(), (batch, queries + past), (batch, queries, queries + past)]
    mask = kinds[q.rng.integers(len(kinds))]
    given = "" if not mask else q.builder.constant(q.rng.integers(0, 2, mask) | (np.arange(mask[-1]) == 0), np.int32)
    zeros = [q.builder.constant(q.integers((), "uint8")), q.builder.constant(0, np.int8)]
    before = [q.input((2, batch, heads, past, size), "float32")] if past else []
    more: dict[str, Any] = {"scale": 0.3} if q.flag() else {}
    operands = [x, weights, bias, *scales, given, *zeros, *before]
    result = q.builder.node(
        "QAttention", *operands, domain=MICROSOFT, outputs=2 if past else 1, num_heads=heads,
        unidirectional=int(q.flag()), **more,
    )  # fmt: skip
    if past:
        q.builder.output(q.builder.nodes[-1].output[1])
    return result, "float32"


def _resize(q: RandomQOperators) -> Result:
    """Of integers, as onnxruntime's quantizer leaves it between QLinear operators."""
    factors, last = [q.pick(1, 2, 4), q.pick(2, 4, 8)], q.flag()
    scales = q.builder.constant([1, *factors, 1] if last else [1, 1, *factors], np.float32)
    mode = q.pick("half_pixel", "asymmetric")
    x = q.input((1, q.pick(3, 4, 8), 5, 6))
    return q.node("Resize", [x, "", scales], "", mode="linear", coordinate_transformation_mode=mode), q.element_type


def _dynamic_quantize(q: RandomQOperators) -> Result:
    """Quantised and dequantised, by a scale that is computed."""
    x, parts = q.input(q.pick((3, 40), (1, 3, 4, 5)), "float32"), [q.builder.name("part") for _ in range(3)]
    q.builder.nodes.append(onnx.helper.make_node("DynamicQuantizeLinear", [x], parts))
    return q.node("DequantizeLinear", parts, ""), "float32"


TOLERANCES: Mapping[str, float] = {"DynamicQuantizeLSTM": 2e-6, "QAttention": 1e-6}
"""Of results that float32 computes, relative to the largest; all others are exact."""
KINDS: Mapping[str, Maker] = {
    "QLinearAdd": _binary,
    "QLinearMul": _binary,
    "QLinearSigmoid": _unary,
    "QLinearLeakyRelu": _unary,
    "QLinearSoftmax": _softmax,
    "QLinearAveragePool": _average,
    "QLinearGlobalAveragePool": _global_average,
    "QLinearConcat": _concat,
    "QLinearReduceMean": _reduce_mean,
    "QLinearWhere": _where,
    "QLinearConv": _conv,
    "com.microsoft.QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QGemm": _gemm,
    "QAttention": _attention,
    "Resize": _resize,
    "MatMulInteger": _matmul_integer,
    "ConvInteger": _conv_integer,
    "MatMulIntegerToFloat": _to_float,
    "DynamicQuantizeMatMul": _to_float,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "DynamicQuantizeLSTM": _lstm,
}
