"""Float operators that the quantiser takes: what becomes of them is 8 bits throughout, and close to the float model."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.quantize.test_quantize import close, graph_of, samples
from tests.support.onnx_builder import OnnxBuilder
from tests.support.quantized_candidate import Candidate, observed_in, output_sqnr, parameters_of
from tinycompile.frontend.onnx_file import static_model
from tinycompile.frontend.onnx_regions import UNARY
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.float_model import float_model
from tinycompile.quantize.measure import float_outputs
from tinycompile.quantize.patterns import simplified
from tinycompile.quantize.prepare import prepared
from tinycompile.quantize.qdq import quantized_values, to_qdq

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")

Body = Callable[["Net", str], str]


class Net(OnnxBuilder):
    """With seeded weights; values have three to five axes, of which the second counts 4 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.normal(0, 0.5, shape), np.float32)

    def number(self, value: float) -> str:
        return self.constant(value, np.float32)

    def positive(self, *shape: int) -> str:
        return self.constant(self.rng.uniform(0.5, 1.5, shape), np.float32)

    def layer(self, x: str, rank: int = 4, pad: int = 1) -> str:
        kernel = (3,) * (rank - 2)
        return self.node("Conv", x, self.weights(4, 4, *kernel), self.weights(4), pads=[pad] * 2 * (rank - 2))

    def normalised(self, x: str, channels: int = 4) -> str:
        operands = self.positive(channels), self.weights(channels), self.weights(channels), self.positive(channels)
        return self.node("BatchNormalization", x, *operands)


def between_layers(body: Body, *, first: bool = True) -> onnx.ModelProto:
    b = Net()
    x = b.input((1, 4, 6, 6))
    b.output(b.layer(body(b, b.layer(x) if first else x)))
    return b.model()


def islands(graph: FloatGraph, data: list[dict[str, np.ndarray]]) -> tuple[Candidate, list[str]]:
    """(what is compiled, operators that run in float32)."""
    candidate = Candidate.of(to_qdq(graph, parameters_of(observed_in(graph, data))), "test", {})
    edges = ("dequantize", "transpose", "reshape")
    nodes = [node for node in candidate.graph.nodes if node.op.kind not in edges]
    return candidate, [n.op.kind for n in nodes if candidate.graph.types[n.outputs[0]].dtype.name == "float32"]


@pytest.mark.parametrize(
    "kind", sorted({*UNARY} - {"Acos", "Acosh", "Asin", "Atanh", "Clip", "Gelu", "Log", "Mish", "Sqrt", "Swish"})
)
def test_functions_of_one_element_are_tables(kind: str) -> None:
    model, data = between_layers(lambda b, x: b.node(kind, x)), samples(2, 4, 6, 6)
    assert islands(simplified(graph_of(model)), data)[1] == []


def summed(*functions: Callable[[Net, str], str]) -> onnx.ModelProto:
    """A layer, functions of it, and a normalisation of their sum."""
    return between_layers(lambda b, x: b.normalised(b.node("Add", *(function(b, x) for function in functions))))


NORMALISED: dict[str, tuple[onnx.ModelProto, list[str]]] = {
    "first": (between_layers(lambda b, x: b.normalised(x), first=False), ["Conv", "Conv"]),
    "after Relu": (between_layers(lambda b, x: b.normalised(b.node("Relu", x))), ["Conv", "Relu", "Conv", "Conv"]),
    "after a residual stream": (
        summed(lambda b, x: x, lambda b, x: b.node("Tanh", b.layer(x))),
        ["Conv", "Conv", "Tanh", "Conv", "Add", "Conv"],
    ),
    "after the sum of two layers": (summed(Net.layer, Net.layer), ["Conv", "Conv", "Conv", "Add", "Conv"]),
    "after the sum of two functions": (
        summed(*(lambda b, x, kind=kind: b.node(kind, x) for kind in ("Tanh", "Sigmoid"))),
        ["Conv", "Tanh", "Sigmoid", "Add", "Conv", "Conv"],
    ),
    "the mean, then the deviation": (
        between_layers(
            lambda b, x: b.node("Div", b.node("Sub", x, b.weights(1, 4, 1, 1)), b.positive(4, 1, 1)), first=False
        ),
        ["Conv", "Conv"],
    ),
    "numbers for all channels": (
        between_layers(lambda b, x: b.node("Div", b.node("Sub", b.number(0.5), x), b.number(0.25)), first=False),
        ["Sub", "Conv"],
    ),
    "two constants after Relu": (
        between_layers(
            lambda b, x: b.node("Add", b.node("Mul", b.node("Relu", x), b.weights(4, 1, 1)), b.weights(4, 1, 1))
        ),
        ["Conv", "Relu", "Conv", "Conv"],
    ),
}


@pytest.mark.parametrize("name", NORMALISED)
def test_factors_and_summands_of_channels_become_layers(name: str) -> None:
    model, kinds = NORMALISED[name]
    data = samples(3, 4, 6, 6)
    graph = graph_of(model)
    assert [node.op_type for node in graph.nodes] == kinds
    close(model, graph.model(), data)
    candidate, floats = islands(graph, data)
    assert floats == [] and output_sqnr(candidate, float_outputs(model, data), data) > 25


@pytest.mark.parametrize("rank", [2, 3, 5])
def test_batch_normalisation_of_any_rank(rank: int) -> None:
    """In front of a layer, and behind a function; rows and layers without padding take it in."""
    b, shape = Net(), (1, 4, 5, 5, 5)[:rank]
    x = b.normalised(b.input(shape))
    if rank == 2:
        b.output(b.node("Gemm", b.normalised(b.node("Relu", b.node("Gemm", x, b.weights(4, 4)))), b.weights(4, 3)))
    else:
        b.output(b.layer(b.normalised(b.node("Relu", b.layer(x, rank, 1))), rank, 0))
    model, data = b.model(), samples(3, *shape[1:])
    graph = graph_of(model)
    kinds = [node.op_type for node in graph.nodes]
    assert kinds == (["Gemm", "Relu", "Gemm"] if rank == 2 else ["Conv", "Conv", "Relu", "Conv"])
    close(model, graph.model(), data)


def test_inside_a_function_nothing_is_rounded() -> None:
    """SiLU as a product, GELU in its parts; a value that something else reads as well is."""

    def silu(b: Net, x: str) -> str:
        return b.node("Mul", x, b.node("Sigmoid", x))

    def gelu(b: Net, x: str) -> str:
        erf = b.node("Erf", b.node("Div", x, b.number(2**0.5)))
        return b.node("Mul", b.node("Mul", x, b.node("Add", erf, b.number(1.0))), b.number(0.5))

    def read_twice(b: Net, x: str) -> str:
        gate = b.node("Sigmoid", x)
        return b.node("Add", b.node("Mul", x, gate), b.layer(gate))

    data = samples(4, 4, 6, 6)
    for body, rounded in ((silu, 4), (gelu, 4), (read_twice, 7)):
        graph = graph_of(between_layers(body))
        assert len(quantized_values(graph)) == rounded, body.__name__
        assert islands(graph, data)[1] == []


@pytest.mark.parametrize(
    ("kind", "opset"),
    [*product(("LayerNormalization", "InstanceNormalization"), (17, 18)), ("GroupNormalization", 21)],
)
def test_normalisations_of_values(kind: str, opset: int) -> None:
    """int8 throughout, of rows one operator, else means, products and a table; and what the float operator computes."""
    b = Net()
    b.opset = opset
    count = {"LayerNormalization": 6, "InstanceNormalization": 4, "GroupNormalization": 4}[kind]
    attributes = {"num_groups": 2} if kind == "GroupNormalization" else {}
    x = b.node(kind, b.layer(b.input((1, 4, 6, 6))), b.positive(count), b.weights(count), **attributes)
    b.output(b.layer(x))
    model, data = b.model(), samples(12, 4, 6, 6)
    static = static_model(model, "net")
    graph = prepared(static.proto, static.shapes)
    assert (kind in {node.op_type for node in graph.nodes}) == (kind == "LayerNormalization")
    close(model, graph.model(), data)
    candidate, floats = islands(graph, data)
    assert floats == [] and output_sqnr(candidate, float_outputs(model, data), data) > 20


@pytest.mark.parametrize(("dtype", "floats"), [("uint8", []), ("int8", []), ("int32", ["cast"])])
def test_pixels_that_are_integers(dtype: str, floats: list[str], tmp_path: Path) -> None:
    """Of 8 bits they are what layers read, without rounding; others are rounded as floats are."""
    b, rng = Net(), np.random.default_rng(1)
    x = b.node("Cast", b.input((1, 4, 6, 6), dtype), to=onnx.TensorProto.FLOAT)
    b.output(
        b.layer(b.node("Relu", b.layer(b.node("Div", x, b.constant([[[40]], [[50]], [[60]], [[70]]], np.float32)))))
    )
    model = b.model()
    data = [{"x": rng.integers(0, 120, (1, 4, 6, 6)).astype(dtype)} for _ in range(3)]
    onnx.save(model, str(tmp_path / "m.onnx"))
    assert float_model(tmp_path / "m.onnx", {}).graph.node[0].op_type == "Cast"
    graph = graph_of(model)
    assert ("cast_1" in quantized_values(graph)) == bool(floats)
    candidate, found = islands(graph, data)
    assert found == floats and output_sqnr(candidate, float_outputs(model, data), data) > 30
