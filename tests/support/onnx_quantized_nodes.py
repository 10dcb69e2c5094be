"""The node cases of `onnx.backend.test` as int8 models: each operator between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.support.onnx_agreement import Agreement
from tests.support.onnx_nodes import NodeCase, collected, dynamic_inputs
from tinycompile.errors import FloatIslandWarning, UnsupportedError
from tinycompile.frontend.onnx import expand, import_model
from tinycompile.frontend.onnx_file import static_model
from tinycompile.ir import Graph, verify

SHARED = frozenset(
    "Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Celu Clip Concat Conv ConvTranspose Cos "
    "CumSum DepthToSpace Div Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm "
    "GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Identity LeakyRelu Less "
    "LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mish Mul Neg Not OneHot Or PRelu Pad Pow Reciprocal "
    "ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize "
    "Round ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Slice Softmax Softplus Softsign SpaceToDepth Split "
    "Sqrt Squeeze Sub Sum Tanh ThresholdedRelu Tile TopK Transpose Unsqueeze Upsample Where Xor".split()
)
"""ONNX operators that TFLite has as well, or of which one has the other as a special case."""

_WEIGHTS = frozenset(("Conv", "ConvTranspose", "Gemm"))
"""Their operands 1 and 2 are constants."""
_PARAMETERS = frozenset(("BatchNormalization", "Resize", "Upsample", "Clip", "OneHot", "Pad", "Tile", "Expand"))
"""Their further operands are constants that aren't quantised."""


@dataclass(frozen=True, eq=False)
class QuantizedCase:
    """A node case with its float tensors quantised.

    Attributes:
        inputs: by name.
    """

    name: str
    model: onnx.ModelProto
    inputs: dict[str, np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """What became of a case: "int8", "float" (partly), "refused" or "wrong", and why."""

    verdict: str
    reason: str = ""


@cache
def quantized_cases() -> dict[str, QuantizedCase]:
    """By name: those whose operator is shared and has a float32 tensor among its operands."""
    found = dict[str, QuantizedCase]()
    for case in collected():
        kinds = {node.op_type for node in case.model.graph.node}
        floats = any(value.dtype == np.float32 for value in case.inputs)
        converts = case.name.startswith(("test_cast_", "test_castlike_"))  # to types that nothing is quantised to
        single = len(case.model.graph.node) == 1 and kinds <= SHARED and not converts
        if single and floats and all(v.size for v in case.outputs):
            found[case.name] = quantized_case(case)
    return found


def quantized_case(case: NodeCase) -> QuantizedCase:
    """The node with a DequantizeLinear for each float operand and a QuantizeLinear for each float result."""
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    (node,), graph = model.graph.node, model.graph
    quantizing = _Quantizing(case.name)
    feeds, dynamic = dict[str, np.ndarray](), set[int]()
    for index, (value, array) in enumerate(zip(list(graph.input), case.inputs, strict=True)):
        constant = index > 0 and node.op_type in _WEIGHTS | _PARAMETERS
        constant |= index > 0 and array.dtype.kind == "i" and node.op_type not in ("Gather", "GatherND", "OneHot")
        if not constant:
            dynamic.add(index)
            feeds[value.name] = array
        quantized = array.dtype == np.float32 and not (index > 0 and node.op_type in _PARAMETERS)
        if quantized:
            _rename(node.input, value.name, f"{value.name}_dequantized")
        if not constant:
            if quantized:
                quantizing.operand(value.name, array)
        elif quantized:
            quantizing.weights(value.name, array)
        else:
            graph.initializer.append(numpy_helper.from_array(array, value.name))
    kept = dynamic_inputs(model, dynamic)
    for value, array in zip(graph.output, case.outputs, strict=True):
        if array.dtype == np.float32:
            _rename(node.output, value.name, f"{value.name}_real")
            quantizing.result(value.name, array)
    body = [*quantizing.before, node, *quantizing.after]
    imports = [o for o in model.opset_import if o.domain != ""]
    opset = max(13, next(o.version for o in model.opset_import if o.domain == ""))
    initializers = [*graph.initializer, *quantizing.constants]
    made = helper.make_graph(body, case.name, kept, list(graph.output), initializers)
    imports = [helper.make_opsetid("", opset), *imports]
    return QuantizedCase(case.name, helper.make_model(made, opset_imports=imports, ir_version=10), feeds)


def _rename(names: list[str], old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new


class _Quantizing:
    """The nodes and constants around one operator."""

    def __init__(self, seed: str) -> None:
        self.rng = np.random.default_rng(list(seed.encode()))
        self.before, self.after, self.constants = (
            list[onnx.NodeProto](),
            list[onnx.NodeProto](),
            list[onnx.TensorProto](),
        )

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _parameters(self, name: str, array: np.ndarray) -> tuple[str, str]:
        """A scale and a zero point that cover the finite values; int8 or uint8."""
        finite = array[np.isfinite(array)]
        low, high = min(0.0, float(finite.min(initial=0))), max(0.0, float(finite.max(initial=0)))
        scale = np.float32((high - low) / 255 or 1 / 255)
        dtype = np.int8 if self.rng.integers(2) else np.uint8
        least = np.iinfo(dtype).min
        zero_point = dtype(np.clip(np.rint(least - low / scale), least, least + 255))
        return self._constant(f"{name}_scale", scale), self._constant(f"{name}_zero_point", zero_point)

    def operand(self, name: str, array: np.ndarray) -> None:
        parameters = self._parameters(name, array)
        self.before.append(helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}_quantized"]))
        quantized = [f"{name}_quantized", *parameters]
        self.before.append(helper.make_node("DequantizeLinear", quantized, [f"{name}_dequantized"]))

    def weights(self, name: str, array: np.ndarray) -> None:
        """Symmetric int8; of a vector, which is a bias, the floats."""
        if array.ndim < 2:
            self._constant(f"{name}_dequantized", array)
            return
        scale = np.float32(np.abs(array).max(initial=0) / 127 or 1)
        values = np.rint(array / scale).astype(np.int8)
        operands = [self._constant(f"{name}_int8", values), self._constant(f"{name}_scale", scale)]
        self.before.append(helper.make_node("DequantizeLinear", operands, [f"{name}_dequantized"]))

    def result(self, name: str, array: np.ndarray) -> None:
        parameters = self._parameters(name, array)
        self.after.append(helper.make_node("QuantizeLinear", [f"{name}_real", *parameters], [f"{name}_rounded"]))
        self.after.append(helper.make_node("DequantizeLinear", [f"{name}_rounded", *parameters], [name]))


def outcome(case: QuantizedCase, samples: int = 3) -> Outcome:
    """Imports a case and compares its meaning with onnxruntime on its own input and on random ones."""
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        try:
            graph = as_graph(case)
        except UnsupportedError as error:
            return Outcome("refused", "; ".join(reason for _, reason in error.problems))
    texts = [str(w.message) for w in raised if issubclass(w.category, FloatIslandWarning)]
    islands = [text.partition("runs in float32: ")[2].rpartition(" (")[0] for text in texts]
    rng = np.random.default_rng(len(case.name))
    agreement = Agreement(case.model, graph)
    for number in range(samples):
        feeds = case.inputs if number == 0 else {n: _like(array, rng) for n, array in case.inputs.items()}
        wrong = agreement.difference(feeds)
        if wrong:
            return Outcome("wrong", wrong)
    return Outcome("float", islands[0]) if islands else Outcome("int8")


def as_graph(case: QuantizedCase) -> Graph:
    shapes = {name: array.shape for name, array in case.inputs.items()}
    model = static_model(expand(case.model), case.name, shapes)
    graph = import_model(model, case.name, case.name, floats="islands")
    verify(graph)
    return graph


def _like(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other values of about the same range; indices as they are."""
    if array.dtype == np.bool_:
        return rng.integers(0, 2, array.shape).astype(np.bool_)
    if array.dtype != np.float32:
        return array
    finite = array[np.isfinite(array)]
    low, high = float(finite.min(initial=0)), float(finite.max(initial=0))
    return rng.uniform(low - 0.1, high + 0.1, array.shape).astype(np.float32)
