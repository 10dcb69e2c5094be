"""The static shape of every value: onnx's shape inference, with the windows of pools as they are computed."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tinycompile.errors import ModelFileError
from tinycompile.frontend.onnx_evaluate import evaluate_node
from tinycompile.frontend.onnx_ml_shapes import infer_shapes, stand_in
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_untrusted import array_of
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array

Shape = tuple[int, ...]
_WINDOWED = ("MaxPool", "AveragePool", "LpPool", "ConvTranspose")
_SAME = (b"SAME_UPPER", b"SAME_LOWER")


def inferred(model: Any) -> Any:
    """A copy of the model with the shapes of its values.

    onnx's inference is helped in three ways; the copy's nodes are the model's nevertheless. Values that say how large a
    tensor is are computed (`_fold`). Nodes of ai.onnx.ml, of which it knows little, are replaced (`stand_in`). And of
    pools onnx infers shapes that nobody computes: below opset 22 it counts a last window that `ceil_mode` lets begin in
    the padding behind the tensor, and beside `auto_pad` it reads `pads`. onnxruntime, PyTorch and onnx's evaluator do
    neither. Such a pool is inferred from one with the right windows. So is a ConvTranspose, to whose result it adds
    output_padding where `auto_pad` already says how large that is.
    """
    result = _infer(model)
    shadow = type(model)()
    shadow.CopyFrom(result)
    helped, corrected = False, set[str]()
    while stand_in(shadow.graph, shapes_of(shadow.graph)) or _correct_windows(shadow, corrected) or _fold(shadow):
        helped = True
        del shadow.graph.value_info[:]
        for value in shadow.graph.output:
            value.type.tensor_type.ClearField("shape")
        shadow = _infer(shadow)
    if helped:
        for field in ("value_info", "output"):
            del getattr(result.graph, field)[:]
            getattr(result.graph, field).extend(getattr(shadow.graph, field))
        own, tensor = {i.name for i in result.graph.initializer}, onnx_module().helper.make_tensor_value_info
        made = (i for i in shadow.graph.initializer if i.name not in own)
        result.graph.value_info.extend(tensor(i.name, i.data_type, i.dims) for i in made)
    return result


def _infer(model: Any) -> Any:
    return infer_shapes(model, data_prop=True)


def shape_of(value: Any) -> Shape | None:
    """Of a ValueInfoProto; None where any dimension is unknown."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    if any(not dim.HasField("dim_value") for dim in dims):
        return None
    return tuple(dim.dim_value for dim in dims)


def windows(size: int, begin: int, end: int, extent: int, stride: int, ceil: bool) -> int:
    """How many windows a pool has along an axis; with `ceil` they may reach beyond the padding, but not begin there."""
    room = size + begin + end - extent
    count = (-(-room // stride) if ceil else room // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= size + begin else count


def shapes_of(graph: Any) -> dict[str, Shape | None]:
    """By name, of every value that the graph lists; None where it isn't static."""
    # A value may be several of these, an input and an output for instance, and have its shape in one of them only.
    found: dict[str, Shape | None] = {i.name: tuple(i.dims) for i in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if found.get(value.name) is None:
            found[value.name] = shape_of(value)
    return found


def type_names_of(graph: Any) -> dict[str, str]:
    """NumPy's names of the types of the values that the graph lists, as far as they are known."""
    onnx, found = onnx_module(), dict[str, str]()
    for value in (*graph.input, *graph.value_info, *graph.output):
        try:
            name = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)).name
        except (KeyError, TypeError):
            continue
        found.setdefault(value.name, name)
    return found


def _correct_windows(model: Any, done: set[str]) -> bool:
    """Rewrite the first node with a wrong shape that isn't in `done`, the results of those before; False without."""
    shapes = shapes_of(model.graph)
    for node in model.graph.node:
        if node.op_type not in _WINDOWED or node.domain not in ("", "ai.onnx") or node.output[0] in done:
            continue
        source, result = shapes.get(node.input[0]), shapes.get(node.output[0])
        if source is not None and result is not None and len(source) == len(result):
            if node.op_type == "ConvTranspose":
                right = _right_enlargement(node, source[2:], shapes.get(node.input[1]), result[2:])
            else:
                right = _right_pads(node, source[2:], result[2:])
            if right is not None:
                done.add(node.output[0])
                _set(node, right)
                return True
    return False


_ARITHMETIC = frozenset(
    "Abs Add And Cast CastLike Ceil Concat Constant ConstantOfShape Div Equal Expand Flatten Floor Gather Greater "
    "GreaterOrEqual Identity Less LessOrEqual Max Min Mod Mul Neg Not Or Pow Range ReduceMax ReduceProd ReduceSum "
    "Reshape Round ScatterElements Shape Size Slice Split Sqrt Squeeze Sub Tile Transpose Unsqueeze Where".split()
)
"""What sizes are computed with."""
FEW = 64
"""Elements of a list of sizes."""


def _fold(model: Any) -> bool:
    """Where a shape is unknown: sizes that can be computed become initialisers; False if there are none."""
    graph, shapes = model.graph, shapes_of(model.graph)
    if all(shapes.get(name) is not None for node in graph.node for name in node.output if name):
        return False
    numpy_helper, opset = onnx_module().numpy_helper, opset_of(model)
    small = {i.name: _readable(i) for i in graph.initializer if prod(i.dims) <= FEW}
    known = {name: value for name, value in small.items() if value is not None}
    kept, made = list[Any](), dict[str, Array]()
    for node in graph.node:
        values = computed(node, known | made, shapes, opset)
        if values is None:
            kept.append(node)
        else:
            made.update(zip((name for name in node.output if name), values, strict=True))
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in made.items())
    return bool(made)


def contradiction(
    node: Any, operands: Mapping[str, Array | tuple[Shape, str]], domains: Mapping[str, int]
) -> str | None:
    """What onnx's strict inference says against a node; None where it says nothing.

    Args:
        operands: constants, or (shape, NumPy's name of the type), of all operands that there are, by name.
        domains: with their versions.
    """
    onnx = onnx_module()
    helper, inputs, constants = onnx.helper, list[Any](), list[Any]()
    try:
        for name, value in operands.items():
            if isinstance(value, tuple):
                shape, kind = value
                code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
                inputs.append(helper.make_tensor_value_info(name, code, shape))
            else:
                constants.append(onnx.numpy_helper.from_array(value, name))
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = helper.make_graph([node], "node", inputs, outputs, constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
        onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets), strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        return str(error).strip().rpartition("Error] ")[2].rstrip(".")
    except (KeyError, TypeError, ValueError):  # what onnx can't express isn't its to judge
        return None
    return None


def _readable(tensor: Any) -> Array | None:
    """The value of a TensorProto; None of a damaged one, which is told of where all constants are read."""
    try:
        return array_of(tensor, "")
    except ModelFileError:
        return None


def opset_of(model: Any) -> int:
    return next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))


def computed(
    node: Any, known: Mapping[str, Array], shapes: Mapping[str, Shape | None], opset: int
) -> list[Array] | None:
    """The results of a node that computes sizes from what is known; None for others."""
    if node.op_type not in _ARITHMETIC or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Shape":
        shape, limits = shapes.get(node.input[0]), {a.name: a.i for a in node.attribute}
        return None if shape is None else [np.array(shape[limits.get("start", 0) : limits.get("end")], np.int64)]
    operands = {name: known[name] for name in node.input if name in known}
    if any(name and name not in operands for name in node.input):
        return None
    try:
        values = evaluate_node(node, operands, opset)
    except Rejected:
        return None
    return values if all(value.size <= FEW for value in values) else None


def _attributes(node: Any) -> dict[str, Any]:
    return {a.name: onnx_module().helper.get_attribute_value(a) for a in node.attribute}


def _right_enlargement(node: Any, size: Shape, weights: Shape | None, result: Shape) -> dict[str, Any] | None:
    """The same of a ConvTranspose with `auto_pad` SAME: the strides times its operand, or less where windows end."""
    attributes, rank = _attributes(node), len(size)
    strides, dilations, extra = (
        attributes.get(name) or [usual] * rank
        for name, usual in (("strides", 1), ("dilations", 1), ("output_padding", 0))
    )
    if attributes.get("auto_pad") not in _SAME or "output_shape" in attributes or weights is None:
        return None
    if not len(weights) - 2 == len(strides) == len(dilations) == len(extra) == rank:
        return None
    sizes = [
        min(n * s, (n - 1) * s + (k - 1) * d + 1 + e)
        for n, s, k, d, e in zip(size, strides, weights[2:], dilations, extra, strict=True)
    ]
    return None if sizes == list(result) else {"output_shape": sizes}


def _right_pads(node: Any, size: Shape, result: Shape) -> dict[str, Any] | None:
    """Attributes with which the result is right; None where it is, or the node contradicts itself."""
    attributes = _attributes(node)
    rank, kernel, auto = len(size), attributes.get("kernel_shape", ()), attributes.get("auto_pad", b"NOTSET")
    strides, dilations = (attributes.get(name) or [1] * rank for name in ("strides", "dilations"))
    pads = list(attributes.get("pads") or [0] * (2 * rank)) if auto in (b"NOTSET", b"") else [0] * (2 * rank)
    if not len(kernel) == len(strides) == len(dilations) == len(pads) // 2 == rank or min(strides, default=1) < 1:
        return None
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    ceil = bool(attributes.get("ceil_mode", 0))
    if auto in _SAME:
        counts = [-(-n // s) for n, s in zip(size, strides, strict=True)]
    else:
        counts = [windows(size[a], pads[a], pads[rank + a], extents[a], strides[a], ceil) for a in range(rank)]
    if counts == list(result) or min(counts, default=1) < 1:
        return None
    for axis, count in enumerate(counts):
        pads[rank + axis] = max((count - 1) * strides[axis] + extents[axis] - size[axis] - pads[axis], 0)
    return {"auto_pad": "NOTSET", "ceil_mode": 0, "pads": pads}


def _set(node: Any, values: Mapping[str, Any]) -> None:
    kept = [a for a in node.attribute if a.name not in values]
    made = [onnx_module().helper.make_attribute(name, value) for name, value in values.items()]
    del node.attribute[:]
    node.attribute.extend([*kept, *made])
