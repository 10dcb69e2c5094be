"""Every field of every option table: read, or checked to have its default, or refused by its name.

Each field of each operator gets other valid values. Then the interpreter equals LiteRT, or the import refuses and names
the field, or LiteRT itself refuses the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tflite

from tests.frontend.option_models import MODELS, OptionModel
from tests.ops.oracle import check_model
from tests.support.litert import Oracle
from tests.support.raw_tables import TABLES, slot_count, slots_of
from tests.support.tflite_builder import NONE, OPTIONS, TfliteBuilder
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.frontend.tflite_ops import IMPORTERS
from tinycompile.frontend.tflite_options import schema_name
from tinycompile.frontend.tflite_shapes import FOLDERS

ENUMS = {
    "FusedActivationFunction": tflite.ActivationFunctionType,
    "Padding": tflite.Padding,
    "WeightsFormat": tflite.FullyConnectedOptionsWeightsFormat,
    "QuantizedBiasType": tflite.TensorType,
    "OutType": tflite.TensorType,
    "OutputType": tflite.TensorType,
    "InDataType": tflite.TensorType,
    "OutDataType": tflite.TensorType,
    "Mode": tflite.MirrorPadMode,
}
VECTORS = {"NewShape": ([], [1, 36, 2], [-1], [0]), "SqueezeDims": ([], [3], [-1], [1, 3], [0, 1, 3], [-3])}


def values_of(field: str, table: str) -> Iterator[object]:
    if table == "VarHandleOptions":
        return  # names, which the handles of another subgraph have as well
    if field in VECTORS:
        yield from VECTORS[field]
        return
    slot = slots_of(table)[field]
    assert slot.flags is not None
    if field in ENUMS:
        yield from (code for name, code in vars(ENUMS[field]).items() if isinstance(code, int))
    elif slot.flags.name == "bool":
        yield from (False, True)
    elif slot.flags.name.startswith("float"):
        yield from (0.0, 0.125, 1.0, 3.0, -0.5)
    elif field.endswith("Mask"):
        yield from range(4)
    else:
        yield from (-2, -1, 1, 2, 3)


WITH_INTERMEDIATES = {"UNIDIRECTIONAL_SEQUENCE_LSTM"}

CUSTOM = {name for name in IMPORTERS if not hasattr(tflite.BuiltinOperator, name)}
"""Of whose versions LiteRT takes no notice."""

SIGNALS = {name for name in IMPORTERS if name.startswith("Signal")}
"""TFLM's, which LiteRT doesn't have: compared in tests of their own."""


def test_there_is_a_model_of_each_operator() -> None:
    assert {name.split()[0] for name in MODELS} == {*IMPORTERS, *FOLDERS} - SIGNALS
    for name, importer in (*IMPORTERS.items(), *FOLDERS.items()):
        assert OPTIONS.get(name) == (importer.options.__name__ if importer.options else None), name


def _run(model: OptionModel) -> None:
    """LiteRT's result for every tensor whose shape the file says rightly; our import equals it."""
    check_model(model.build(), model.inputs, model.resolver, model.tolerance)


@pytest.mark.parametrize("name", list(MODELS))
def test_every_value_of_every_option(name: str) -> None:
    _run(MODELS[name]())
    table = OPTIONS.get(name.split()[0])
    for field in slots_of(table) if table else ():
        outcomes = [_outcome(name, field, value) for value in values_of(field, table or "")]
        assert any(outcomes) or not outcomes, f"{field}: no value was compared or refused by us"


def _outcome(name: str, field: str, value: object, shape: tuple[int, ...] | None = None) -> bool:
    """False where only LiteRT's refusal says that the value is none. `shape`: of the result, instead of the model's."""
    model = MODELS[name]()
    model.op.fields[field] = value  # type: ignore[assignment]
    result = model.outputs[-1]
    if shape is not None:
        model.builder.tensors[result].shape = shape
    content = model.build()
    contradiction = ""
    try:
        import_tflite(content, "m", "m.tflite")
    except (UnsupportedError, ModelFileError) as error:
        if schema_name(field) in str(error):
            return True
        contradiction = str(error)
        assert "the file says" in contradiction and shape is None, f"{field}={value}: {error}"
    try:
        expected = Oracle(content, model.resolver).run(model.inputs)[result]
    except (ValueError, RuntimeError):
        return False
    if contradiction:  # the value makes another shape than the file says; LiteRT takes its own
        return _outcome(name, field, value, expected.shape)
    check_model(content, model.inputs, model.resolver, model.tolerance)
    return True


@pytest.mark.parametrize("name", [name for name in MODELS if slots_of(OPTIONS.get(name.split()[0], ""))])
def test_options_of_another_operator(name: str) -> None:
    model = MODELS[name]()
    other = "MulOptions" if model.op.options == "AddOptions" else "AddOptions"
    model.op.options, model.op.fields = other, {"FusedActivationFunction": NONE}
    with pytest.raises((UnsupportedError, ModelFileError), match=f"its options are {other} instead"):
        import_tflite(model.build(), "m", "m.tflite")


@pytest.mark.parametrize("name", sorted(name for name in MODELS if OPTIONS.get(name.split()[0])))
def test_a_field_that_is_newer_than_our_schema(name: str) -> None:
    model = MODELS[name]()
    number = slot_count(model.op.options or "")
    model.op.newer = {number: 1}
    with pytest.raises(UnsupportedError, match=f"the field number {number}, which is newer"):
        import_tflite(model.build(), "m", "m.tflite")


@pytest.mark.parametrize("name", sorted({*IMPORTERS, *FOLDERS} - SIGNALS))
def test_versions(name: str) -> None:
    known = (IMPORTERS.get(name) or FOLDERS[name]).versions
    for version in range(1, known + 1):
        model = MODELS[name]()
        model.op.version = version
        import_tflite(model.build(), "m", "m.tflite")
    for version in (0, -1, known + 1):
        model = MODELS[name]()
        model.op.version = version
        with pytest.raises(UnsupportedError, match=f"it has version {version}, known are 1 to {known}"):
            import_tflite(model.build(), "m", "m.tflite")


@pytest.mark.parametrize("name", sorted({*IMPORTERS, *FOLDERS} - CUSTOM))
def test_versions_are_those_of_litert(name: str) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    def takes(version: int) -> bool:
        model = MODELS[name]()
        model.op.version = version
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            Interpreter(model_content=model.build(), experimental_op_resolver_type=resolver)
        except ValueError as error:
            return "Didn't find op" not in str(error)
        return True

    known = (IMPORTERS.get(name) or FOLDERS[name]).versions
    assert takes(known) and not takes(known + 1)


@pytest.mark.parametrize("name", sorted(MODELS.keys() - WITH_INTERMEDIATES))
def test_what_litert_reads_of_other_operators_only(name: str) -> None:
    """Intermediates and mutable operands are of LSTMs; an index list more changes nothing elsewhere."""
    model = MODELS[name]()
    model.op.intermediates, model.op.mutating = [0], [True] * len(model.op.inputs)
    _run(model)


def test_numbers_of_operators_without_their_options() -> None:
    """No options at all are the schema's defaults."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), 0.5, 3), b.tensor((1, 4), 0.5, 3)
    b.op("ADD", [x, x], [y]).options = None
    check_model(b.build([x], [y]), [np.array([[1, 2, 3, -128]], np.int8)])


def test_field_names_are_the_schemas() -> None:
    assert schema_name("FusedActivationFunction") == "fused_activation_function"
    assert schema_name("StrideH") == "stride_h"
    assert all(schema_name(field).isascii() for table in TABLES for field in slots_of(table))


def _strided_slice(rng: np.random.Generator) -> tuple[list[np.ndarray], dict[str, int]]:
    rank = int(rng.integers(1, 4))
    x = np.arange(np.prod(shape := rng.integers(1, 5, rank)), dtype=np.int32).reshape(shape)
    count = int(rng.integers(1, rank + 1))
    limits = [rng.integers(-5, 6, count).astype(np.int32) for _ in range(2)]
    fields = {f"{name}Mask": int(rng.integers(1 << count)) for name in ("Begin", "End")}
    if rng.random() < 0.5:
        fields["ShrinkAxisMask"] = int(rng.integers(1 << count))
        limits[0] = np.minimum(np.abs(limits[0]), x.shape[:count] - np.int32(1)).astype(np.int32)
    if rng.random() < 0.3:
        fields["NewAxisMask"] = int(rng.integers(1 << count))
    return [x, *limits, np.ones(count, np.int32) if rng.random() < 0.6 else np.full(count, 2, np.int32)], fields


def _slice(rng: np.random.Generator) -> tuple[list[np.ndarray], dict[str, int]]:
    x = np.arange(np.prod(shape := rng.integers(1, 5, 2)), dtype=np.int32).reshape(shape)
    begin = rng.integers(0, shape).astype(np.int32)
    size = np.where(rng.random(2) < 0.3, -1, rng.integers(1, shape - begin + 1)).astype(np.int32)
    return [x, begin, size], {}


def _gather(rng: np.random.Generator) -> tuple[list[np.ndarray], dict[str, int]]:
    batch = int(rng.integers(2))
    x = np.arange(2 * 3 * 4, dtype=np.int32).reshape(2, 3, 4)
    axis = int(rng.integers(batch, 3))
    shape = (2, int(rng.integers(1, 4))) if batch else tuple(rng.integers(1, 4, int(rng.integers(0, 3))))
    indices = rng.integers(0, x.shape[axis], shape).astype(np.int32)
    return [x, indices], {"Axis": axis if rng.random() < 0.5 else axis - 3, "BatchDims": batch}


def _reduce_prod(rng: np.random.Generator) -> tuple[list[np.ndarray], dict[str, int]]:
    x = rng.integers(-5, 6, (2, 3, 4)).astype(np.int32)
    axes = rng.choice(3, int(rng.integers(1, 4)), replace=False).astype(np.int32) - np.int32(3 * rng.integers(2))
    return [x, axes], {"KeepDims": int(rng.integers(2))}


@pytest.mark.parametrize("draw", [_strided_slice, _slice, _gather, _reduce_prod])
def test_random_arithmetic_of_shapes(draw: Callable[..., tuple[list[np.ndarray], dict[str, int]]]) -> None:
    name, compared = draw.__name__.strip("_").upper(), 0
    for seed in range(60):
        operands, fields = draw(np.random.default_rng(seed))
        b = TfliteBuilder()
        x, y = b.tensor((1, 4), 0.5), b.tensor((1, 4), 0.5)
        shape = [1]
        if draw is _slice:  # LiteRT compares
            shape = np.where(operands[2] < 0, operands[0].shape - operands[1], operands[2]).tolist()
        f = b.tensor(shape, dtype="int32")
        b.op("RELU", [x], [y])
        b.op(name, [b.constant(operand) for operand in operands], [f], **fields)
        content, sample = b.build([x], [y, f]), [np.zeros((1, 4), np.int8)]
        expected = Oracle(content).run(sample).get(f)
        if expected is None:  # an empty result
            continue
        graph = import_tflite(content, "m", "m.tflite")
        got = graph.constants[graph.outputs[1]]
        assert (got.shape, got.tolist()) == (expected.shape, expected.tolist()), (operands, fields)
        compared += 1
    assert compared > 20


@pytest.mark.parametrize("name", [name for name in MODELS if name.split()[0] not in ("ADD_N", "CONCATENATION", "PACK")])
def test_an_operand_too_many(name: str) -> None:
    """LiteRT refuses most; we can't know what it would mean."""
    model = MODELS[name]()
    model.op.inputs = [*model.op.inputs, *(model.op.inputs[:1] or model.places)]
    with pytest.raises((UnsupportedError, ModelFileError), match=r"operand|unpack|is supported on shapes"):
        import_tflite(model.build(), "m", "m.tflite")


@pytest.mark.parametrize("changes", [{"scale": [0.5]}, {"zero_point": [0]}, {"scale": None, "zero_point": None}])
def test_a_fill_value_of_another_quantisation(changes: dict[str, object]) -> None:
    model = MODELS["PADV2"]()
    vars(model.builder.tensors[model.op.inputs[2]]).update(changes)
    with pytest.raises(RuntimeError):
        Oracle(model.build()).run(model.inputs)
    with pytest.raises(UnsupportedError, match="the fill value has another scale or zero point"):
        import_tflite(model.build(), "m", "m.tflite")
