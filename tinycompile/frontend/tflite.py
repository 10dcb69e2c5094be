"""TFLite flatbuffers to `Graph`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

from tinycompile.choices import Runtime
from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8
from tinycompile.errors import FloatIslandWarning, ModelFileError, QuantizationNeededError, UnsupportedError, UsageError
from tinycompile.frontend.builder import GraphBuilder
from tinycompile.frontend.tflite_file import SourceModel, SourceOperator, read_model
from tinycompile.frontend.tflite_ops import IMPORTERS
from tinycompile.frontend.tflite_scope import Rejected, Scope, Values
from tinycompile.frontend.tflite_shapes import FOLDERS, folded, operands_of, remember
from tinycompile.ir import Array, Graph, ImpossibleSizeError

QUANTIZED = (INT8, UINT8, INT16)

Problems = list[tuple[str, str]]
Floats = Literal["none", "islands", "all"]


def import_tflite(
    content: bytes,
    name: str,
    where: str,
    signature: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    floats: Floats = "islands",
    match: Runtime = "litert",
) -> Graph:
    """Read a model.

    Args:
        content: of the file.
        name: of the graph.
        where: the file, for messages.
        signature: whose subgraph is compiled; None for the main one. Inputs and outputs are the subgraph's, in its
            order.
        shapes: of inputs whose shape is dynamic, by name; a file holds for the shapes that it was written with.
        floats: what may run in float32: "none"; "islands", whatever the file says, with a warning; "all".
        match: the runtime whose bytes the operators' are.

    Raises:
        ModelFileError: truncated, corrupt, or contradicts itself.
        QuantizationNeededError: a float model, where floats may not run.
        UnsupportedError: all operators that can't be compiled, at once.
        UsageError: there is no such signature or input.
    """
    model = read_model(content, where, signature)
    _check_structure(model, where)
    quantized = _is_quantized(model)
    if floats == "none" and not quantized:
        raise quantization_needed(where)
    notes, problems = _bind(model, shapes or {}, where)
    problems += _interface_problems(model)
    builder = GraphBuilder()
    values = Values(model, builder, floats=floats != "none", match=match)
    values.body = partial(_import_body, values, where)
    inputs = [] if problems else [values.of(index) for index in model.inputs]
    for operator in model.operators:
        try:
            _import_operator(values, operator, f"{where}: {_label(model, operator)}")
        except (Rejected, ImpossibleSizeError) as rejected:
            problems.append((_label(model, operator), str(rejected)))
        except MemoryError:
            problems.append((_label(model, operator), "reading it takes more memory than this machine has"))
    if problems:
        raise UnsupportedError(problems, where=where)
    if floats == "islands":
        _warn(values, quantized, where)
    elif floats == "all" and quantized and not values.computed_in_float:
        raise UsageError("--dtype float32 is for models of floats", where=where, why="no operator of this one is")
    graph = builder.graph(name, inputs, [values.result(index) for index in model.outputs])
    return replace(graph, notes=(*model.notes, *notes), states=values.states)


def _import_operator(values: Values, operator: SourceOperator, where: str) -> None:
    """Compute it now, if it is arithmetic of shapes; else add its nodes."""
    folder, importer = FOLDERS.get(operator.name), IMPORTERS.get(operator.importer)
    known = folder or importer
    if known is None:
        raise Rejected("this operator is not supported")
    if not 1 <= operator.version <= known.versions:
        raise Rejected(f"it has version {operator.version}, known are 1 to {known.versions}")
    scope = Scope(values, operator, where, known.options)
    scope.reject_strange_tensors()
    operands = operands_of(scope, folder) if folder is not None else None
    if folder is not None and operands is not None:
        values.folded[operator.outputs[0]] = folded(scope, folder, operands)
        scope.options.reject_unread()
    elif importer is not None:
        before = len(values.builder.nodes)
        importer.run(scope)
        scope.reject_unread()
        remember(values, operator, before)
    else:
        raise Rejected("it is supported on shapes and other values that are known when the model is compiled")


def _import_body(
    outer: Values, where: str, owner: SourceOperator, number: int, known: Mapping[int, Array], depth: int = 1
) -> Graph:
    """A subgraph of an operator.

    Raises:
        Rejected: an operator in it can't be compiled, or something in it survives an inference.
    """
    if depth > DEEPEST:
        raise Rejected(f"it is more than {DEEPEST} deep")
    model = outer.model.bodies[number]
    fixed = {model.inputs[place]: value for place, value in known.items() if place < len(model.inputs)}
    for index, value in fixed.items():
        t = model.tensors[index].type
        if t is None or t.mismatch(value):
            raise Rejected(f"it takes {t} and is given {value.dtype.name}{list(value.shape)}")
    tensors = tuple(replace(t, data=fixed[t.index]) if t.index in fixed else t for t in model.tensors)
    inputs = tuple(index for index in model.inputs if index not in fixed)
    model = replace(model, tensors=tensors, inputs=inputs, bodies=outer.model.bodies)
    here = f"{where}, subgraph {number}"
    _check_structure(model, here, inside=True)
    if any(tensor.is_variable for tensor in model.tensors):
        raise Rejected("it has a variable (state that survives an inference)")
    values = Values(model, GraphBuilder(), floats=outer.floats, match=outer.match)
    values.body = partial(_import_body, values, where, depth=depth + 1)
    given = [values.of(index) for index in model.inputs]
    for operator in model.operators:
        label = _label(model, operator)
        try:
            _import_operator(values, operator, f"{here}: {label}")
        except (Rejected, ImpossibleSizeError) as reason:
            raise Rejected(f"in it, {label}: {reason}") from reason
    if values.states:
        raise Rejected("it has a variable (state that survives an inference)")
    if values.computed_in_float and owner not in outer.computed_in_float:
        outer.computed_in_float.append(owner)
    graph = values.builder.graph(f"subgraph {number}", given, [values.result(index) for index in model.outputs])
    return replace(graph, sources={})


DEEPEST = 8
"""Subgraphs within subgraphs."""


def _bind(model: SourceModel, shapes: Mapping[str, tuple[int, ...]], where: str) -> tuple[list[str], Problems]:
    """(notes, problems) of inputs with a dynamic shape: the batch is what the file has, which is 1."""
    notes, problems = list[str](), Problems()
    names = [model.tensors[index].name for index in model.inputs]
    unknown = [name for name in shapes if name not in names]
    if unknown:
        raise UsageError(f"the model has no input {unknown[0]!r}", where=where, hint=f"it has: {', '.join(names)}")
    for index in dict.fromkeys(model.inputs):
        tensor = model.tensors[index]
        if tensor.type is None:
            continue
        shape, dynamic = tensor.type.shape, [axis for axis, n in enumerate(tensor.signature) if n < 0]
        wanted = shapes.get(tensor.name, shape if dynamic in ([], [0]) else None)
        if wanted is None:
            reason = f"it has the dynamic shape {list(tensor.signature)}; convert the model with a fixed one"
            problems.append((f"input {tensor.name!r}", reason))
        elif wanted != shape:
            reason = f"the file holds for the shape {list(shape)}, not for {list(wanted)}; convert the model for that"
            problems.append((f"input {tensor.name!r}", reason))
        elif dynamic:
            notes.append(
                f"input {tensor.name!r} has the dynamic shape {list(tensor.signature)}, taken as {list(shape)}"
            )
    return notes, problems


def _interface_problems(model: SourceModel) -> Problems:
    """Inputs and constant outputs that can't be represented; the other outputs are checked where they come from."""
    computed = {index for operator in model.operators for index in operator.outputs}
    constant = [index for index in dict.fromkeys(model.outputs) if index not in computed and index not in model.inputs]
    problems = [
        (f"{role} {model.tensors[index].name!r}", model.tensors[index].reason)
        for role, indices in (("input", model.inputs), ("output", constant))
        for index in indices
        if model.tensors[index].reason
    ]
    problems += [
        (f"output {model.tensors[index].name!r}", "it is a variable's handle")
        for index in dict.fromkeys(model.outputs)
        if index in model.resources.handles
    ]
    twice = sorted(index for index in set(model.inputs) if model.inputs.count(index) > 1)
    return problems + [
        (f"input {model.tensors[index].name!r}", "it is listed twice, and only one of the two values can count")
        for index in twice
    ]


def _label(model: SourceModel, operator: SourceOperator) -> str:
    name = model.tensors[operator.outputs[0]].name if operator.outputs else ""
    return f"{operator.name} {name!r} (operator {operator.index})"


def _is_quantized(model: SourceModel) -> bool:
    """Whether some activation is quantised, or none is float."""
    dtypes = {t.type.dtype for t in model.tensors if t.type is not None and t.data is None}
    return FLOAT32 not in dtypes or bool(dtypes.intersection(QUANTIZED))


_INT8_HINT = (
    "for int8 give samples of its inputs with --calib, or convert it with full integer quantisation: "
    "tf.lite.TFLiteConverter with optimizations = [tf.lite.Optimize.DEFAULT], a representative_dataset and "
    "target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]"
)


def quantization_needed(where: str) -> QuantizationNeededError:
    return QuantizationNeededError(
        "the model computes in float32", where=where, why="--strict-int8 excludes that", hint=_INT8_HINT
    )


def _warn(values: Values, quantized: bool, where: str) -> None:
    """Of what runs in float32: the model, or each operator of a quantised one."""
    if not quantized and values.computed_in_float:
        text = f"{where}: the model runs in float32, as the file says; {_INT8_HINT}; --dtype float32 says it is meant"
        warnings.warn(text, FloatIslandWarning, stacklevel=4)
    elif quantized:
        for operator in values.computed_in_float:
            text = f"{where}: {_label(values.model, operator)} runs in float32, as the file says"
            warnings.warn(text, FloatIslandWarning, stacklevel=4)


def _check_structure(model: SourceModel, where: str, *, inside: bool = False) -> None:
    """Every tensor is written once and before it is read. Raises ModelFileError.

    Args:
        inside: it is a subgraph of an operator, whose inputs may all be known.
    """

    def fail(what: str) -> ModelFileError:
        return ModelFileError(what, where=where, why="the file contradicts itself")

    def check_index(index: int, role: str, lowest: int = 0) -> None:
        if not lowest <= index < len(model.tensors):
            raise fail(f"{role} refers to tensor {index} of {len(model.tensors)}")

    if not model.outputs or (not model.inputs and not inside):
        raise fail(f"the model has no {'outputs' if model.inputs else 'inputs'}")
    for index in model.inputs:
        check_index(index, "a model input")
        if model.tensors[index].data is not None:
            raise fail(f"model input {model.tensors[index].name!r} is a constant")
    for index in model.outputs:
        check_index(index, "a model output")
    known = {*model.inputs, *(tensor.index for tensor in model.tensors if tensor.is_variable)}
    for operator in model.operators:
        for index in operator.inputs:
            check_index(index, f"operator {operator.index} ({operator.name})", lowest=-1)
        for index in operator.outputs:
            check_index(index, f"operator {operator.index} ({operator.name})")
    computed = {index for operator in model.operators for index in operator.outputs}
    for operator in model.operators:
        here = _label(model, operator)
        for index in operator.inputs:
            tensor = model.tensors[index] if index >= 0 else None
            if tensor is None or tensor.type is None or tensor.data is not None or index in known:
                continue
            reason = "before it is computed" if index in computed else ", which nothing computes"
            raise fail(f"{here} reads tensor {tensor.name!r} {reason}")
        for index in operator.outputs:
            written = index in known and not model.tensors[index].is_variable
            if written or model.tensors[index].data is not None:
                raise fail(f"{here} overwrites tensor {model.tensors[index].name!r}")
            known.add(index)
    for index in model.outputs:
        tensor = model.tensors[index]
        if index not in known and tensor.type is not None and tensor.data is None:
            raise fail(f"no operator computes model output {tensor.name!r}")
