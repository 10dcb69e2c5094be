"""TFLite flatbuffers to `Graph`."""

from __future__ import annotations

from tinycompile.errors import ModelFileError, QuantizationNeededError, UnsupportedError
from tinycompile.frontend.builder import GraphBuilder
from tinycompile.frontend.tflite_file import SourceModel, SourceOperator, read_model
from tinycompile.frontend.tflite_ops import IMPORTERS
from tinycompile.frontend.tflite_scope import Rejected, Scope, Values
from tinycompile.ir import Graph

QUANTIZED = ("int8", "uint8", "int16")


def import_tflite(content: bytes, name: str, where: str) -> Graph:
    """Read a model.

    Args:
        content: of the file.
        name: of the graph.
        where: the file, for messages.

    Raises:
        ModelFileError: truncated, corrupt, or contradicts itself.
        QuantizationNeededError: a float model.
        UnsupportedError: all operators that can't be compiled, at once.
    """
    model = read_model(content, where)
    _check_structure(model, where)
    _check_quantized(model, where)
    builder = GraphBuilder()
    values = Values(model, builder)
    problems = [
        (f"{role} {model.tensors[i].name!r}", model.tensors[i].reason)
        for role, indices in (("input", model.inputs), ("output", _uncomputed(model)))
        for i in indices
        if model.tensors[i].reason
    ]
    twice = {i for i in model.inputs if model.inputs.count(i) > 1}
    problems += [
        (f"input {model.tensors[i].name!r}", "it is listed twice, and only one of the two values can count")
        for i in sorted(twice)
    ]
    inputs = [] if problems else [values.of(index) for index in model.inputs]
    for operator in model.operators:
        label = _label(model, operator)
        try:
            _import_operator(Scope(values, operator, f"{where}: {label}"))
        except Rejected as rejected:
            problems.append((label, str(rejected)))
    if problems:
        raise UnsupportedError(problems, where=where)
    return builder.graph(name, inputs, [values.of(index) for index in model.outputs])


def _uncomputed(model: SourceModel) -> list[int]:
    """Outputs that are constants: the types of the others are checked where they come from."""
    computed = {index for operator in model.operators for index in operator.outputs}
    return [index for index in dict.fromkeys(model.outputs) if index not in computed and index not in model.inputs]


def _import_operator(scope: Scope) -> None:
    importer = IMPORTERS.get(scope.operator.name)
    if importer is None:
        raise Rejected("this operator is not supported")
    scope.reject_strange_tensors()
    importer(scope)


def _label(model: SourceModel, operator: SourceOperator) -> str:
    name = model.tensors[operator.outputs[0]].name if operator.outputs else ""
    return f"{operator.name} {name!r} (operator {operator.index})"


def _check_quantized(model: SourceModel, where: str) -> None:
    """Some activation must be quantised, if any is float."""
    dtypes = {t.type.dtype for t in model.tensors if t.type is not None and t.data is None}
    if "float32" in dtypes and not dtypes.intersection(QUANTIZED):
        raise QuantizationNeededError(
            "the model computes in float32",
            where=where,
            why="only int8 models are compiled",
            hint="convert it with full integer quantisation: tf.lite.TFLiteConverter with "
            "optimizations = [tf.lite.Optimize.DEFAULT], a representative_dataset and "
            "target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]",
        )


def _check_structure(model: SourceModel, where: str) -> None:
    """Every tensor is written once and before it is read. Raises ModelFileError."""

    def fail(what: str) -> ModelFileError:
        return ModelFileError(what, where=where, why="the file contradicts itself")

    def check_index(index: int, role: str, lowest: int = 0) -> None:
        if not lowest <= index < len(model.tensors):
            raise fail(f"{role} refers to tensor {index} of {len(model.tensors)}")

    if not model.inputs or not model.outputs:
        raise fail(f"the model has no {'outputs' if model.inputs else 'inputs'}")
    for index in model.inputs:
        check_index(index, "a model input")
        if model.tensors[index].data is not None:
            raise fail(f"model input {model.tensors[index].name!r} is a constant")
    for index in model.outputs:
        check_index(index, "a model output")
    known = set(model.inputs)
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
            if index in known or model.tensors[index].data is not None:
                raise fail(f"{here} overwrites tensor {model.tensors[index].name!r}")
            known.add(index)
    for index in model.outputs:
        tensor = model.tensors[index]
        if index not in known and tensor.type is not None and tensor.data is None:
            raise fail(f"no operator computes model output {tensor.name!r}")
