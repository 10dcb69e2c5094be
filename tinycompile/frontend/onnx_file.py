"""ONNX files: read, checked, brought to opset 13 if they are older, every shape known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinycompile.dtypes import DType
from tinycompile.errors import ModelFileError, UnsupportedError, UsageError
from tinycompile.frontend.formats import check_model_path
from tinycompile.frontend.onnx_control import is_control_flow, with_captured, without_control_flow
from tinycompile.frontend.onnx_functions import PREVIEW, has_definition, with_bodies
from tinycompile.frontend.onnx_ml import in_onnx_words
from tinycompile.frontend.onnx_ml_model import without_maps_and_strings
from tinycompile.frontend.onnx_ml_shapes import infer_shapes
from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.frontend.onnx_order import sort_nodes
from tinycompile.frontend.onnx_rewrite import label_of
from tinycompile.frontend.onnx_schema import FOUNDLINGS, MICROSOFT, ML
from tinycompile.frontend.onnx_shapes import inferred, shapes_of, type_names_of
from tinycompile.frontend.onnx_untrusted import (
    array_of,
    check_all_loaded,
    check_attributes,
    check_declared,
    check_external_data,
    check_functions,
    check_sizes,
    check_splits,
    check_texts,
)
from tinycompile.frontend.onnx_upgrade import OLDEST, TARGET, upgraded
from tinycompile.ir import Array

_DOMAINS = ("", "ai.onnx", MICROSOFT, ML, PREVIEW)
_FOREIGN = {
    "com.microsoft.nchwc": "onnxruntime saved the model at optimisation level 'all', in blocks of channels as wide as "
    "a vector of the PC that saved it; save it at level 'extended' or 'basic', or build the model that it read",
}
"""Why the operators of a domain aren't read."""


@dataclass(frozen=True, eq=False)
class SourceValue:
    """A model input or output.

    Attributes:
        type_name: of the elements, as NumPy and onnx call them; "unknown" where the file doesn't say.
    """

    name: str
    shape: tuple[int, ...]
    type_name: str

    @property
    def dtype(self) -> DType | None:
        """None for what isn't known, and for types that no tensor of ours has."""
        return DType.find(self.type_name)


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A model with static shapes.

    Attributes:
        proto: the ModelProto; its dimensions are bound, and it lists outputs once that are nothing else.
        opset: of the default domain.
        constants: initialisers by name.
        shapes: the inferred shape of every value that has one.
        refused: why nodes can't be read, by their first result, as far as that is known already.
    """

    proto: Any
    opset: int
    inputs: tuple[SourceValue, ...]
    outputs: tuple[SourceValue, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]]
    refused: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def ml_version(self) -> int:
        """Of ai.onnx.ml; 1 if the model doesn't need it."""
        return next((o.version for o in self.proto.opset_import if o.domain == ML), 1)

    @property
    def nodes(self) -> list[Any]:
        return list(self.proto.graph.node)


def load_proto(path: Path) -> Any:
    """The file with its external data.

    Raises:
        ModelFileError: not an ONNX file, or its external data isn't in its folder.
    """
    onnx = onnx_module()
    check_model_path(path)
    try:
        model = onnx.load(str(path), load_external_data=False)
        check_texts(model, str(path))
        check_external_data(model, path)
        onnx.load_external_data_for_model(model, str(path.parent))
    except ModelFileError:
        raise
    except Exception as error:  # protobuf, file system and external data: all mean that it can't be read
        raise ModelFileError("not a readable ONNX model", where=str(path), why=_first_line(error)) from error
    check_all_loaded(model, str(path))
    return model


def read_proto(path: Path) -> Any:
    """The model with its external data, checked, functions inlined, at opset 13 or later; of ai.onnx.ml only operators
    that ONNX has no words for.

    Raises:
        ModelFileError: not a model, or broken.
        UnsupportedError: an operator set that can't be converted.
    """
    onnx = onnx_module()
    model = load_proto(path)
    if not model.graph.output:
        raise ModelFileError("the model computes nothing", where=str(path))
    if model.functions:
        check_functions(model, str(path))
        try:
            model = onnx.inliner.inline_local_functions(model)
        except Exception as error:  # of arbitrary functions
            raise ModelFileError("its functions can't be inlined", where=str(path), why=_first_line(error)) from error
    sort_nodes(model.graph)
    _move_to_microsoft(model)
    model = without_maps_and_strings(model, str(path))
    check_attributes(model, str(path))
    check_declared(model, str(path))
    check_splits(model, str(path))
    foreign = sorted({o.domain for o in model.opset_import} - set(_DOMAINS))
    used = {node.domain for node in model.graph.node}
    problems = [(f"domain {d!r}", _FOREIGN.get(d, "its operators are not supported")) for d in foreign if d in used]
    if problems:
        raise UnsupportedError(problems, where=str(path))
    _drop_unused_domains(model, used)
    opset = opset_of(model)
    if opset < OLDEST:
        reason = f"operators are read from opset {OLDEST} on; export it again with a newer one"
        raise UnsupportedError([(f"opset {opset}", reason)], where=str(path))
    _check_known_opsets(model, str(path))
    ranks = _checked(model, path)
    if opset < TARGET:
        if any(is_control_flow(node) for node in model.graph.node):
            model, ranks = _flat(model, path)
        model = upgraded(model, opset, str(path), ranks)
        _checked(model, path)
    return in_onnx_words(model, str(path))


def _check_known_opsets(model: Any, where: str) -> None:
    """Raises UnsupportedError where operators may mean what nobody knew when onnx was released."""
    onnx = onnx_module()
    newest = {"": onnx.defs.onnx_opset_version(), ML: onnx.defs.onnx_ml_opset_version()}
    problems = [
        (
            f"opset {each.version}" + (f" of {each.domain}" if each.domain else ""),
            f"onnx {onnx.__version__}, which is installed, knows those up to {newest[each.domain]}; export it with "
            "that one, or install a newer onnx",
        )
        for each in model.opset_import
        if each.version > newest.get(each.domain, each.version)
    ]
    if problems:
        raise UnsupportedError(problems, where=where)


def _flat(model: Any, path: Path) -> tuple[Any, dict[str, int]]:
    """A model of an old opset without control flow, since what its bodies mean changed, too; and its ranks.

    Raises:
        UnsupportedError: it can't be written out.
    """
    model, refused = without_control_flow(model)
    problems = [
        (label_of(node, index), refused[node.output[0]])
        for index, node in enumerate(model.graph.node)
        if is_control_flow(node)
    ]
    if problems:
        raise UnsupportedError(problems, where=str(path))
    return model, _checked(model, path)


def _checked(model: Any, path: Path) -> dict[str, int]:
    """The number of dimensions of its values, as far as it can be inferred. Raises ModelFileError."""
    onnx = onnx_module()
    try:
        shaped = infer_shapes(model)
        values = (*shaped.graph.input, *shaped.graph.value_info, *shaped.graph.output)
        known = {v.name: v.type.tensor_type.shape for v in values if v.type.tensor_type.HasField("shape")}
        # The checker wants types of outputs, which the format leaves optional.
        for value in shaped.graph.output:
            value.type.tensor_type.elem_type = value.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
            value.type.tensor_type.shape.SetInParent()
        onnx.checker.check_model(shaped)
    except Exception as error:
        raise ModelFileError("the model is not valid", where=str(path), why=_first_line(error)) from error
    return {name: len(shape.dim) for name, shape in known.items()}


def opset_of(model: Any) -> int:
    """Version of the default operator set."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), TARGET)


def static_model(model: Any, where: str, shapes: Mapping[str, tuple[int, ...]] | None = None) -> OnnxModel:
    """Bind every dimension of the inputs and infer all shapes.

    Args:
        shapes: of inputs by name; elsewhere a dynamic first dimension, the batch, is 1.

    Raises:
        UsageError: `shapes` names no input or contradicts the model.
        UnsupportedError: all inputs with other dynamic dimensions.
    """
    model = _copy(model)
    given = {i.name for i in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in given]
    _bind(inputs, dict(shapes or {}), where)
    model, refused = _written_out(model)
    constants = {i.name: array_of(i, where) for i in model.graph.initializer}
    del model.graph.value_info[:]
    outputs = [value.name for value in model.graph.output]
    _list_once(model.graph, {value.name for value in inputs} | set(constants))
    try:
        model = inferred(model)
    except Exception as error:
        raise ModelFileError("shapes can't be inferred", where=where, why=_first_line(error)) from error
    model = with_captured(model)
    graph = model.graph
    known = {name: shape for name, shape in shapes_of(graph).items() if shape is not None}
    check_sizes(known, where)
    names = {name: value.dtype.name for name, value in constants.items()} | type_names_of(graph)
    return OnnxModel(
        model,
        opset_of(model),
        tuple(_source_value(value.name, known, names) for value in graph.input if value.name not in constants),
        tuple(_source_value(name, known, names) for name in outputs),
        constants,
        known,
        refused,
    )


def _written_out(model: Any) -> tuple[Any, dict[str, str]]:
    """The model with definitions and bodies in the places of nodes, and why nodes have none, by their first result."""
    refused, unknown = dict[str, str](), dict[str, str]()
    for _ in range(_DEEPEST):
        model, undefined = with_bodies(model)
        model, unknown = without_control_flow(model, staying=True)
        refused |= undefined
        if not any(has_definition(node) and node.output[0] not in refused for node in model.graph.node):
            break
    return model, refused | unknown


_DEEPEST = 4
"""Bodies within definitions within bodies."""


def _bind(inputs: list[Any], shapes: dict[str, tuple[int, ...]], where: str) -> None:
    names = [value.name for value in inputs]
    for name in shapes:
        if name not in names:
            raise UsageError(f"--shape names {name!r}", where=where, why=f"the inputs are: {', '.join(names)}")
    problems = list[tuple[str, str]]()
    for value in inputs:
        if not value.type.HasField("tensor_type"):
            problems.append((f"input {value.name!r}", "it is no tensor"))
            continue
        dims = value.type.tensor_type.shape.dim
        wanted = shapes.get(value.name)
        if wanted is not None:
            fixed = [d.dim_value for d in dims]
            if len(wanted) != len(dims) or any(f not in (0, w) for f, w in zip(fixed, wanted, strict=True)):
                text = "x".join(_dim_text(d) for d in dims)
                raise UsageError(f"--shape {value.name}={wanted} doesn't fit", where=where, why=f"the model has {text}")
            for dim, size in zip(dims, wanted, strict=True):
                dim.dim_value = size
        elif dims and not dims[0].dim_value:
            dims[0].dim_value = 1
        if any(dim.dim_value < 1 for dim in dims):
            text = "x".join(_dim_text(d) for d in dims)
            example = ",".join(str(d.dim_value or 64) for d in dims)
            empty = all(dim.HasField("dim_value") for dim in dims)
            what = "has no elements" if empty else "is dynamic"
            problems.append((f"input {value.name!r}", f"its shape {text} {what}: give --shape {value.name}={example}"))
    if problems:
        raise UnsupportedError(problems, where=where)


def _dim_text(dim: Any) -> str:
    return str(dim.dim_value) if dim.HasField("dim_value") else (dim.dim_param or "?")


def _list_once(graph: Any, others: set[str]) -> None:
    """Outputs of which the shape is to be inferred; onnx's inference gives up on those that are listed twice."""
    found = {value.name: value for value in reversed(graph.output) if value.name not in others}
    kept = [copied(value) for value in reversed(found.values())]
    for value in kept:
        value.type.tensor_type.ClearField("shape")
    del graph.output[:]
    graph.output.extend(kept)


def _source_value(name: str, shapes: Mapping[str, tuple[int, ...]], types: Mapping[str, str]) -> SourceValue:
    return SourceValue(name, shapes.get(name, ()), types.get(name, "unknown"))


def _move_to_microsoft(model: Any) -> None:
    """onnxruntime has operators in ONNX's domain that ONNX hasn't (yet): they are read as com.microsoft's."""
    opset = opset_of(model)
    unknown = {kind for kind, since in FOUNDLINGS.items() if since is None or opset < since}
    found = [node for node in model.graph.node if node.op_type in unknown and node.domain in ("", "ai.onnx")]
    for node in found:
        node.domain = MICROSOFT
    if found and all(o.domain != MICROSOFT for o in model.opset_import):
        model.opset_import.append(onnx_module().helper.make_opsetid(MICROSOFT, 1))


def _drop_unused_domains(model: Any, used: set[str]) -> None:
    """Exporters import domains that no node needs; checkers and evaluators may not know them. Others leave out
    ONNX's own.
    """
    kept = [o for o in model.opset_import if o.domain in ("", "ai.onnx") or o.domain in used]
    if not any(o.domain in ("", "ai.onnx") for o in kept):
        kept.append(onnx_module().helper.make_opsetid("", TARGET))
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _copy(model: Any) -> Any:
    clone = type(model)()
    clone.CopyFrom(model)
    return clone


def _first_line(error: Exception) -> str:
    """What the error says, without control characters of the file."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
