"""Integers of 2 and 4 bits as tensors. `test_onnx_nodes.py` has onnx's own cases."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.support.kernel_checks import M7
from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import OnnxBuilder, imported, kinds
from tinycompile.dtypes import DType
from tinycompile.errors import UnsupportedError
from tinycompile.kernels import kernels_of
from tinycompile.report.weights import layer_weights


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT2", "UINT2"])
@pytest.mark.parametrize("raw", [False, True])
def test_activations_of_few_bits(kind, raw):
    """A layer's bounds, a function's table; weights that are packed in the file, or a number in each int32."""
    dtype, rng, b = DType.of(kind.lower()), np.random.default_rng(0), OnnxBuilder(25)
    low, high = dtype.range

    def stored(values: np.ndarray) -> str:
        name = b.name("packed")
        data = dtype.pack(values.astype(dtype.carrier)).tobytes() if raw else values.ravel().tolist()
        b.initializers.append(helper.make_tensor(name, getattr(TensorProto, kind), values.shape, data, raw=raw))
        return name

    def rounded(x: str, scale: float) -> str:
        parameters = b.constant(scale, np.float32), stored(np.array((low + high) // 2))
        return b.node("DequantizeLinear", b.node("QuantizeLinear", x, *parameters), *parameters)

    x = b.input((5, 8))
    w = b.node("DequantizeLinear", stored(rng.integers(low, high + 1, (8, 3))), b.constant(0.1, np.float32))
    y = rounded(b.node("MatMul", rounded(x, 0.5), w), 0.3)
    b.output(rounded(b.node("Sigmoid", y), 0.25))
    model = b.model()
    model.ir_version = 13
    graph, _ = imported(model)
    feed = rng.normal(0, 2, (5, 8)).astype(np.float32)
    assert not Agreement(model, graph).difference({x: feed})
    assert kinds(graph.without_dead()) == ["quantize", "lookup", "fully_connected", "lookup", "dequantize"]


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float4_e2m1fn", "int32"])
def test_other_types_are_named(dtype):
    b = OnnxBuilder(23)
    x = b.input((3,), dtype)
    b.output(b.node("DequantizeLinear", x, b.constant(0.5, np.float32)))
    model = b.model()
    model.ir_version = 11
    with pytest.raises(UnsupportedError, match=f"its operand is {dtype}, supported are integers of 2, 4, 8 and 16"):
        imported(model, floats="all")


LAYERS = {
    "Conv": ((1, 6, 5, 4), (4, 6, 3, 2), 0, {"pads": [1, 0, 1, 1], "strides": [2, 1]}),
    "Conv of groups": ((1, 6, 5, 4), (4, 3, 3, 2), 0, {"group": 2}),
    "ConvTranspose": ((1, 6, 3, 4), (6, 4, 3, 2), 1, {"strides": [2, 1]}),
    "Gemm": ((3, 6), (5, 6), 0, {"transB": 1}),
    "MatMul": ((2, 3, 6), (6, 5), 1, {}),
}
"""Shapes of operand and weights, the weights' output axis, attributes."""


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT2", "UINT2"])
@pytest.mark.parametrize("form", ["per tensor", "per channel", "without zero point"])
def test_weights_of_every_layer(layer, kind, form):
    """Whatever their zero points are: what is left without them has up to 5 bits."""
    shape, sizes, axis, attributes = LAYERS[layer]
    (low, high), rng, b = DType.of(kind.lower()).range, np.random.default_rng(1), OnnxBuilder(25)
    count = (sizes[axis],) if form == "per channel" else ()

    def stored(values: np.ndarray) -> str:
        b.initializers.append(
            helper.make_tensor(b.name("packed"), getattr(TensorProto, kind), values.shape, values.ravel().tolist())
        )
        return b.initializers[-1].name

    zero = "" if form == "without zero point" else stored(rng.integers(low, high + 1, count))
    operands = stored(rng.integers(low, high + 1, sizes)), b.constant(rng.uniform(0.02, 0.1, count), np.float32), zero
    w = b.node("DequantizeLinear", *operands, **({"axis": axis} if count else {}))
    x = b.input(shape)
    b.output(b.activation(b.node(layer.split()[0], b.activation(x, 0.05, 3), w, **attributes), 0.1, -5))
    model = b.model()
    model.ir_version = 13
    graph, _ = imported(model)
    assert not Agreement(model, graph).difference({x: rng.normal(0, 3, shape).astype(np.float32)})


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_tables_of_few_bits(rows, axis):
    """With one scale they stay integers; with one for each row they are rounded as QuantizeLinear wants."""
    b, rng = OnnxBuilder(21), np.random.default_rng(2)
    name = b.name("table")
    b.initializers.append(helper.make_tensor(name, TensorProto.INT4, (5, 6), rng.integers(-8, 8, 30).tolist()))
    scale = b.constant(rng.uniform(0.02, 0.1, 5) if rows else 0.05, np.float32)
    indices = b.input((2, 3), "int64")
    found = b.node("Gather", b.node("DequantizeLinear", name, scale, axis=0), indices, axis=axis)
    b.output(b.activation(found, 0.02, 7))
    model = b.model()
    model.ir_version = 10
    graph, _ = imported(model)
    assert not Agreement(model, graph).difference({indices: rng.integers(-5, 5, (2, 3))})


@pytest.mark.parametrize("form", ["per tensor", "per channel", "blocks"])
@pytest.mark.parametrize("kind", ["Gemm", "MatMul"])
def test_weights_alone_are_quantised(form, kind):
    """Where activations are floats, a kernel may keep the integers."""
    b, rng, name = OnnxBuilder(21), np.random.default_rng(3), "packed"
    b.initializers.append(helper.make_tensor(name, TensorProto.INT4, (24, 6), rng.integers(-8, 8, 144).tolist()))
    sizes, more = {
        "per tensor": ((), {}),
        "per channel": ((6,), {"axis": 1}),
        "blocks": ((3, 6), {"axis": 0, "block_size": 8}),
    }[form]
    w = b.node("DequantizeLinear", name, b.constant(rng.uniform(0.02, 0.1, sizes), np.float32), **more)
    x = b.input((2, 24))
    b.output(b.node(kind, x, w))
    model = b.model()
    model.ir_version = 10
    graph, _ = imported(model, floats="all")
    assert not Agreement(model, graph, 1e-5).difference({x: rng.normal(0, 1, (2, 24)).astype(np.float32)})
    (node,) = graph.nodes
    assert layer_weights(graph, node).bits == 4
    assert "fully_connected_float_blocks_4" in {kernel.variant for kernel in kernels_of(graph.site(node), M7)}


class BlockMatrix:
    """Constants of MatMulNBits with weights (N, K)."""

    def __init__(self, b: OnnxBuilder, bits: int, inner: int, outer: int, zeros: str) -> None:
        rng = np.random.default_rng(bits)
        self.b, blocks, top = b, -(-inner // 16), 1 << bits
        packed = rng.integers(0, 256, (outer, blocks, 2 * bits)).astype(np.uint8)
        scales = rng.uniform(0.01, 0.1, (outer, blocks)).astype(np.float32)
        points = {
            "none": None,
            "packed": rng.integers(0, 256, (outer, -(-blocks * bits // 8))).astype(np.uint8),
            "float": rng.integers(0, min(top, 128), (outer, blocks)).astype(np.float32),
        }[zeros]
        self.operands = [b.constant(packed), b.constant(scales), "" if points is None else b.constant(points)]
        self.attributes = {"bits": bits, "block_size": 16, "K": inner, "N": outer}


@pytest.mark.parametrize(("bits", "zeros"), [(4, "none"), (4, "packed"), (4, "float"), (2, "packed"), (8, "none")])
def test_matmul_of_bits(bits, zeros):
    """onnxruntime's operator; between quantised activations it is integers."""
    b, rng = OnnxBuilder(17), np.random.default_rng(bits)
    x = b.input((3, 2, 40))
    matrix = BlockMatrix(b, bits, 40, 5, zeros)
    bias = b.constant(rng.normal(0, 1, 5), np.float32)
    operands = [b.activation(x, 0.05, 3), *matrix.operands, "", bias]
    b.output(b.activation(b.node("MatMulNBits", *operands, domain="com.microsoft", **matrix.attributes), 0.7, 1))
    model = b.model()
    graph, _ = imported(model)
    assert not Agreement(model, graph).difference({x: rng.normal(0, 3, (3, 2, 40)).astype(np.float32)})
    assert (
        kinds(graph.without_dead())
        == ["quantize", "reshape", "blockwise_fully_connected", "reshape", "dequantize"][
            :: 1 if "reshape" in kinds(graph.without_dead()) else 2
        ]
    )


@pytest.mark.parametrize("zeros", ["none", "packed", "half"])
def test_matmul_of_bits_in_float(zeros):
    """Weights are kept as integers where they are multiples of scales; zero points may be no integers."""
    b, rng = OnnxBuilder(21), np.random.default_rng(0)
    x, matrix = b.input((2, 40)), BlockMatrix(b, 4, 40, 5, "none" if zeros == "half" else zeros)
    if zeros == "half":
        matrix.operands[2] = b.constant(np.full((5, 3), 7.5), np.float32)
    b.output(b.node("MatMulNBits", x, *matrix.operands, domain="com.microsoft", **matrix.attributes))
    model = b.model()
    model.ir_version = 10
    graph, _ = imported(model, floats="all")
    assert not Agreement(model, graph, 1e-5).difference({x: rng.normal(0, 1, (2, 40)).astype(np.float32)})
    (node,) = (node for node in graph.nodes if node.op.kind == "fully_connected")
    assert layer_weights(graph, node).bits == (32 if zeros == "half" else 4)
    smallest = min(kernel.constant_bytes for kernel in kernels_of(graph.site(node), M7))
    assert (smallest < 4 * 200 / 4) == (zeros != "half")


@pytest.mark.parametrize("data", ["uint8", "int4", "uint4"])
@pytest.mark.parametrize("rounded", [False, True])
def test_gather_of_blocks(data, rounded):
    """An embedding table. Where what is gathered is rounded, the table is, when the file is read."""
    b, rng = OnnxBuilder(21), np.random.default_rng(0)
    indices, values = b.input((2, 3), "int32"), rng.integers(0, 8, (6, 32))
    if data == "uint8":
        table, zero = b.constant(rng.integers(0, 256, (6, 16)), np.uint8), ""
    else:
        names = [b.name("table"), b.name("zero")]
        for name, array in zip(names, (values, rng.integers(0, 8, (6, 2))), strict=True):
            code = getattr(TensorProto, data.upper())
            b.initializers.append(helper.make_tensor(name, code, array.shape, array.ravel().tolist()))
        table, zero = names
    scales = b.constant(rng.uniform(0.01, 0.1, (6, 2)), np.float32)
    attributes = {"block_size": 16, "gather_axis": 0, "quantize_axis": 1}
    found = b.node("GatherBlockQuantized", table, indices, scales, zero, domain="com.microsoft", **attributes)
    b.output(b.activation(found, 0.01, 3) if rounded else found)
    model = b.model()
    model.ir_version = 10
    graph, _ = imported(model, floats="none" if rounded else "all")
    assert not Agreement(model, graph).difference({indices: rng.integers(0, 6, (2, 3)).astype(np.int32)})
    tables = [value for value in graph.constants.values() if value.shape == (6, 32)]
    assert [table.dtype for table in tables] == [np.int8 if rounded else np.float32]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"g_idx": True}, "g_idx"),
        ({"weight_prepacked": 1}, "GPU"),
        ({"bits": 3}, "bits = 3"),
    ],
)
def test_what_matmul_of_bits_has_not(change, reason):
    b = OnnxBuilder(17)
    x, matrix = b.input((1, 32)), BlockMatrix(b, 4, 32, 3, "none")
    order = b.constant(np.zeros(32), np.int32) if "g_idx" in change else ""
    attributes = {**matrix.attributes, **{k: v for k, v in change.items() if k in ("bits", "weight_prepacked")}}
    b.output(b.node("MatMulNBits", x, *matrix.operands, order, domain="com.microsoft", **attributes))
    with pytest.raises(UnsupportedError, match=reason):
        imported(b.model(), floats="all")


SOUND: dict[str, object] = {"axis": 1, "block_size": 16, "scales": (3, 2), "zeros": (3, 2)}
"""Of a table (3, 20) in blocks of 16: attributes, shapes of scales and zero points."""


@pytest.mark.parametrize("floats", ["none", "all"])
@pytest.mark.parametrize("operator", ["DequantizeLinear", "of an input", "GatherBlockQuantized"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"block_size": -16}, "blocks of -16 in axis 1 of"),
        ({"block_size": 1 << 62}, f"shape .3, 2. for blocks of {1 << 62}"),
        ({"block_size": 8}, "shape .3, 2. for blocks of 8"),
        ({"axis": 2}, "the axis 2 of a tensor of the shape .3, 20."),
        ({"axis": -(1 << 63)}, "the axis -9223372036854775808 of"),
        ({"scales": (4, 2), "zeros": (4, 2)}, "shape .4, 2. for"),
        ({"scales": (3, 1), "zeros": (3, 1)}, "shape .3, 1. for"),
        ({"scales": (3, 2, 1), "zeros": (3, 2, 1)}, "shape .3, 2, 1. for"),
        ({"zeros": (2, 3)}, "zero points of the shape .2, 3.|shape .2, 3. for"),
        ({"zeros": (5,)}, "zero points of the shape .5."),
        ({"scales": (0, 2), "zeros": (0, 2)}, "shape .0, 2."),
    ],
)
def test_blocks_that_are_none(operator, change, reason, floats):
    """Each is refused with what is wrong, whatever onnx's checker lets through, and before memory is asked for."""
    wanted, b = {**SOUND, **change}, OnnxBuilder(21)
    scales = b.constant(np.full(wanted["scales"], 0.1), np.float32)
    zeros = b.constant(np.zeros(wanted["zeros"]), np.int8)
    data = b.constant(np.ones((3, 20)), np.int8)
    if operator == "GatherBlockQuantized":
        for name in (zeros, data):
            old = next(i for i in b.initializers if i.name == name)
            b.initializers.remove(old)
            shape, count = list(old.dims), int(np.prod(old.dims))
            b.initializers.append(helper.make_tensor(name, TensorProto.INT4, shape, [1] * count))
        attributes = {"quantize_axis": wanted["axis"], "block_size": wanted["block_size"], "gather_axis": 0}
        found = b.node(operator, data, b.input((2,), "int64"), scales, zeros, domain="com.microsoft", **attributes)
    else:
        data = b.input((3, 20), "int8") if operator == "of an input" else data
        found = b.node("DequantizeLinear", data, scales, zeros, axis=wanted["axis"], block_size=wanted["block_size"])
        found = b.node("Add", found, b.input((3, 20), name="other")) if operator == "DequantizeLinear" else found
    b.output(found)
    model = b.model()
    model.ir_version = 10
    if floats == "none" and operator == "of an input":
        reason = f"{reason}|per channel"
    with pytest.raises(UnsupportedError, match=reason):
        imported(model, floats=floats)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"block_size": 1 << 62}, "weights of the shape"),
        ({"K": 1 << 40}, "weights of the shape"),
        ({"N": 1 << 62}, "weights of the shape"),
        ({"block_size": 0}, "block_size = 0"),
        ({"K": -3}, "K = -3"),
        ({"bits": 8}, r"weights of the shape .3, 3, 8.; by its attributes they are .3, 3, 16."),
        ({1: (3, 2)}, r"scales of the shape .3, 2.; by its attributes they are .3, 3."),
        ({2: (3, 3)}, r"packed zero points of the shape .3, 3.; by its attributes they are .3, 2."),
    ],
)
def test_matmul_of_bits_whose_parts_do_not_fit(change, reason):
    b = OnnxBuilder(17)
    x, matrix = b.input((1, 40)), BlockMatrix(b, 4, 40, 3, "packed")
    attributes = {**matrix.attributes, **{k: v for k, v in change.items() if isinstance(k, str)}}
    for place, shape in change.items():
        if isinstance(place, int):
            matrix.operands[place] = b.constant(np.ones(shape), np.float32 if place == 1 else np.uint8)
    b.output(b.node("MatMulNBits", x, *matrix.operands, domain="com.microsoft", **attributes))
    with pytest.raises(UnsupportedError, match=reason):
        imported(b.model(), floats="all")
