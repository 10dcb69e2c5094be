"""What is read of a file is what its bytes say: operator numbers, accessors, tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tflite

from tests.conftest import DIGITS
from tests.frontend.option_models import MODELS
from tests.ops.oracle import check_model
from tests.support.raw_tables import TABLES, differences, slot_count, slots_of
from tests.support.tflite_builder import SignatureSpec, TfliteBuilder
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.frontend.tflite_file import _EXTERNAL_BUFFER, read_model
from tinycompile.frontend.tflite_ops import IMPORTERS
from tinycompile.frontend.tflite_options import fields_of
from tinycompile.frontend.tflite_shapes import FOLDERS

KNOWN = {("OperatorCode", "BuiltinCode")}
"""Accessors of tflite 2.18 that don't return the field: nothing of ours calls them."""

CORPUS = [
    "cases/litert_torch/leaky.static_wi8_ai8.tflite",
    "cases/litert_torch/kws.weights_outside.tflite",
    "cases/litert_torch/gru.static_wi8_ai8.tflite",
    "cases/tflite/op_strided_slice.int8.tflite",
    "cases/tflite/cnn.dyn.tflite",
    "models/kws_ref_model.tflite",
]


def _has_form(name: str, form: str) -> bool:
    """Larger numbers don't fit into the older field."""
    return form != "deprecated" or getattr(tflite.BuiltinOperator, name.split()[0], tflite.BuiltinOperator.CUSTOM) < 127


@pytest.mark.parametrize(
    ("name", "form"),
    [(n, form) for n in sorted(MODELS) for form in ("both", "deprecated", "newer") if _has_form(n, form)],
)
def test_an_operator_number_in_either_field(name: str, form: str) -> None:
    model = MODELS[name]()
    for op in model.builder.ops:
        op.form = form
    check_model(model.build(), model.inputs, model.resolver, model.tolerance)


def test_numbers_beyond_the_older_field() -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), 0.5), b.tensor((1, 4), 0.5)
    for code in (tflite.BuiltinOperator.GELU, 127):
        b.ops.clear()
        op = b.op("RELU", [x], [y])
        op.code = code
        names = {o.name for o in read_model(b.build([x], [y]), "m").operators}
        assert names == {"GELU" if code != 127 else "PLACEHOLDER_FOR_GREATER_OP_CODES"}
        op.form = "newer"
        assert {o.name for o in read_model(b.build([x], [y]), "m").operators} == names


def test_the_accessors_agree_with_the_bytes_of_our_own_files() -> None:
    found = set[tuple[str, str]]()
    for name, make in MODELS.items():
        model = make()
        for op in model.builder.ops:
            op.form, op.intermediates, op.mutating = "newer", [0], [True, False]
        model.builder.outside = 16
        model.builder.signatures = [SignatureSpec("main", {"x": 0}, {"y": 1})]
        for tensor in model.builder.tensors:
            tensor.signature = [-1] * len(tensor.shape)
        found |= set(differences(model.build()))
        assert found <= KNOWN, name
    assert found == KNOWN, "the newer version of the package has mended it"


@pytest.mark.parametrize("file", CORPUS)
def test_the_accessors_agree_with_the_bytes_of_others_files(file: str, shared: Callable[[str], Path]) -> None:
    assert set(differences(shared(file).read_bytes())) <= KNOWN


def test_the_accessors_agree_on_the_demo() -> None:
    assert not set(differences((DIGITS / "digits_int8.tflite").read_bytes()))


DEPRECATED = {"ResizeBilinearOptions": {0, 1}}
"""Fields without accessors: new_height and new_width, which are an operand instead."""


@pytest.mark.parametrize(
    "table", sorted({i.options.__name__ for i in (*IMPORTERS.values(), *FOLDERS.values()) if i.options})
)
def test_every_field_of_an_option_table_is_known(table: str) -> None:
    fields = fields_of(TABLES[table])
    assert fields == sorted(slots_of(table), key=lambda name: slots_of(table)[name].number)
    numbers = {slots_of(table)[name].number for name in fields}
    assert set(range(slot_count(table))) - numbers == DEPRECATED.get(table, set())


def test_the_field_that_the_package_lacks() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    slots = list[int]()

    class Recorder:
        def PrependUint32Slot(self, number: int, _value: int, _default: int) -> None:
            slots.append(number)

    schema.TensorAddExternalBuffer(Recorder(), 1)
    assert [4 + 2 * slot for slot in slots] == [_EXTERNAL_BUFFER]


def test_a_value_in_another_file_is_refused() -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), 0.5, name="x"), b.tensor((1, 4), 0.5, name="y")
    b.op("RELU", [x], [y])
    b.tensors[y].external = 1
    with pytest.raises(UnsupportedError, match="'y' has its value in another file"):
        import_tflite(b.build([x], [y]), "m", "m.tflite")
