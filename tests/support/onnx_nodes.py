"""The node cases of `onnx.backend.test`, one operator each, through the float32 path (or 8 bits where they have 8)."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from tests.support.sanitizers import UNOPTIMIZED
from tinycompile import interpreter
from tinycompile.codegen.emit import emit_model
from tinycompile.codegen.program import build_program
from tinycompile.codegen.project import Provenance
from tinycompile.control_flow import WithControlFlow
from tinycompile.dtypes import DType
from tinycompile.frontend.onnx import expand, import_model
from tinycompile.frontend.onnx_file import read_proto, static_model
from tinycompile.host import HostModel
from tinycompile.ir import Graph
from tinycompile.kernels import kernels_for, kernels_of
from tinycompile.passes import optimize
from tinycompile.planner import plan
from tinycompile.staging import write_files
from tinycompile.targets import load_board

CFLAGS = (*UNOPTIMIZED, "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror")
DATA = Path(__file__).parent.parent / "data"

OPERATORS = frozenset(
    "Conv ConvTranspose Gemm MatMul BatchNormalization Relu Clip LeakyRelu PRelu HardSwish HardSigmoid Sigmoid Tanh "
    "Softmax Gelu Erf Add Sub Mul Div Min Max MaxPool AveragePool GlobalAveragePool ReduceMean Concat Split Slice Pad "
    "Resize Upsample Transpose Reshape Flatten Squeeze Unsqueeze Gather Identity Dropout DepthToSpace QuantizeLinear "
    "DequantizeLinear QLinearConv QLinearMatMul "
    # Not in the list of issue 6, but compiled:
    "Abs Ceil Celu Cos Elu Exp Floor GlobalMaxPool Log LogSoftmax Mish Neg Pow Reciprocal ReduceMax ReduceMin "
    "ReduceSum Round Selu Sign Sin Softplus Softsign SpaceToDepth Sqrt Sum ThresholdedRelu GRU LSTM RNN".split()
)
_DYNAMIC = frozenset(
    "Add Sub Mul Div Min Max Pow PRelu MatMul Concat Sum Gemm Mean Less LessOrEqual Greater GreaterOrEqual Equal "
    "Where".split()
)
"""All float operands of these are inputs; elsewhere only the first one, and the rest is known."""


@dataclass(frozen=True, eq=False)
class NodeCase:
    """A model of one operator with one set of inputs and outputs."""

    name: str
    model: onnx.ModelProto
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


@cache
def collected() -> tuple[NodeCase, ...]:
    """All of onnx's, with their first set of data; without those of sequences, optional values and nothing at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list[NodeCase]()
        for case in collect_testcases(None):
            inputs, outputs = cast(tuple[list[Any], list[Any]], case.data_sets[0] if case.data_sets else ([None], []))
            if all(isinstance(value, np.ndarray | np.generic | onnx.TensorProto) for value in (*inputs, *outputs)):
                found.append(NodeCase(case.name, case.model, [*map(_array, inputs)], [*map(_array, outputs)]))
    return tuple(found)


def _array(value: np.ndarray | np.generic | onnx.TensorProto) -> np.ndarray:
    array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    dtype = DType.find(array.dtype)
    return array if dtype is None else array.astype(dtype.carrier)


_TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2}
"""Relative, where the reference rounds each of its steps to so few bits and we don't; else 1e-4."""


def assert_close(computed: np.ndarray, expected: np.ndarray) -> None:
    """Floats within a bound, everything else bit for bit. Raises AssertionError."""
    assert computed.dtype == expected.dtype
    computed = computed.reshape(expected.shape)
    if expected.dtype.kind not in "fV":
        np.testing.assert_array_equal(computed, expected)
        return
    relative = _TOLERANCE.get(expected.dtype.name, 1e-4) if expected.dtype.itemsize > 1 else 0.0
    np.testing.assert_allclose(
        computed.astype(np.float64), expected.astype(np.float64), rtol=relative, atol=relative / 10
    )


@cache
def cases() -> dict[str, NodeCase]:
    """Of the operators above, by name: those that consist of them only."""
    found = dict[str, NodeCase]()
    for case in collected():
        kinds = {n.op_type if n.domain == "" else n.domain for n in case.model.graph.node} - {"Constant"}
        if kinds <= OPERATORS:
            found[case.name] = case
    return found


@cache
def skips() -> dict[str, str]:
    """What is left out: reason by case."""
    return _reasons("onnx_node_skips.toml")


@cache
def refusals() -> dict[str, str]:
    """What can't be compiled: reason by case."""
    return _reasons("onnx_node_refused.toml")


def _reasons(name: str) -> dict[str, str]:
    return {case: reason for reason, cases in tomllib.loads((DATA / name).read_text()).items() for case in cases}


def imported(case: NodeCase, path: Path) -> tuple[Graph, list[np.ndarray]]:
    """The graph, and its inputs; operands that have to be known become constants."""
    model, inputs = onnx.ModelProto.FromString(case.model.SerializeToString()), case.inputs
    dynamic = set(_dynamic(model, inputs))
    model.ir_version = max(model.ir_version, 4)  # before, initialisers are inputs as well
    kept, feed = list(dynamic_inputs(model, dynamic)), list[np.ndarray]()
    for index, (value, array) in enumerate(zip(model.graph.input, inputs, strict=True)):
        if index in dynamic:
            feed.append(array)
        else:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            model.graph.initializer.append(numpy_helper.from_array(array.astype(dtype), value.name))
    del model.graph.input[:]
    model.graph.input.extend(kept)
    onnx.save(model, str(path))
    proto = read_proto(path)
    shapes = {value.name: array.shape for value, array in zip(kept, feed, strict=True)}
    return import_model(static_model(expand(proto), case.name, shapes), case.name, case.name, floats="all"), feed


_SIZES = ("blackmanwindow", "constantofshape", "hammingwindow", "hannwindow", "melweightmatrix", "range_")
"""Whose operands say how large the result is, so that all are known, and the result is a constant."""


def _dynamic(model: onnx.ModelProto, inputs: list[np.ndarray]) -> Iterator[int]:
    kinds = {node.op_type for node in model.graph.node}
    if model.graph.name.removeprefix("test_").startswith(_SIZES):
        return
    for index, array in enumerate(inputs):
        floats = array.dtype == np.float32
        if index == 0 or (floats and bool(kinds & _DYNAMIC) and not kinds & {"Conv", "ConvTranspose"}):
            yield index


def dynamic_inputs(model: onnx.ModelProto, indices: set[int]) -> list[onnx.ValueInfoProto]:
    copies = [onnx.ValueInfoProto.FromString(v.SerializeToString()) for v in model.graph.input]
    return [value for index, value in enumerate(copies) if index in indices]


def run_as_c(graph: Graph, inputs: Sequence[np.ndarray], folder: Path) -> list[np.ndarray]:
    graph = optimize(graph)
    kernels = kernels_for(graph, load_board("host").core, offer=WithControlFlow(kernels_of))
    planned = plan(graph, kernels, ram_limit=None, optimize="balanced")
    program = build_program("node", planned)
    write_files(folder, emit_model(program, Provenance("node.onnx", "0" * 64)))
    types = [[planned.graph.types[n] for n in names] for names in (planned.graph.inputs, planned.graph.outputs)]
    return HostModel(folder, "node", *types, planned.arena_bytes, CFLAGS).run(inputs)


def check(case: NodeCase, folder: Path) -> None:
    """The graph's meaning and its C give the case's results. Raises AssertionError, and what the import raises."""
    graph, inputs = imported(case, folder / "node.onnx")
    values = interpreter.run(graph, inputs)
    got = run_as_c(graph, [x.reshape(graph.types[n].shape) for x, n in zip(inputs, graph.inputs, strict=True)], folder)
    assert len(got) == len(case.outputs)
    for name, array, expected in zip(graph.outputs, got, case.outputs, strict=True):
        assert_close(values[name], expected)
        assert_close(array, expected)
