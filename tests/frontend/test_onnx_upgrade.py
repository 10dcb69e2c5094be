"""Opsets 7 to 12 by their own rules, against onnxruntime."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.frontend.test_onnx_attributes import compared
from tests.support.onnx_builder import OnnxBuilder
from tinycompile.errors import UnsupportedError
from tinycompile.frontend import load, onnx_definitions
from tinycompile.frontend.onnx_upgrade import CHANGED, OLDEST, TARGET

SCHEMAS = [s for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""]


def _forms(name: str) -> list[onnx.defs.OpSchema]:
    """The versions of an operator that opsets 7 to 13 have, oldest first."""
    found = [s for s in SCHEMAS if s.name == name]
    found.sort(key=lambda s: s.since_version)
    first = [s for s in found if s.since_version <= OLDEST][-1:]
    return first + [s for s in found if OLDEST < s.since_version <= TARGET]


def test_every_operator_that_changed_has_a_rule():
    """A new form that isn't the old one with more attributes or operands needs one, up to its version."""
    for name in {s.name for s in SCHEMAS}:
        forms, needed = _forms(name), 0
        for old, new in itertools.pairwise(forms):
            added = set(new.attributes) - set(old.attributes)
            kept = all(
                key in new.attributes and str(new.attributes[key].default_value) == str(value.default_value)
                for key, value in old.attributes.items()
            )
            options = all(not new.attributes[key].required for key in added)
            names = [[i.name for i in form.inputs] for form in (old, new)]
            # Resize 11 and 13 differ in what may be left out only.
            if not kept or not options or names[1][: len(names[0])] != names[0] or new.deprecated:
                needed = new.since_version
        assert CHANGED.get(name, (0,))[0] == needed, name


SHAPE = (1, 3, 8, 8)


def network(opset: int, seed: int = 0) -> OnnxBuilder:
    """Operators whose form or meaning changed, in a row, as each opset has them."""
    b, rng = OnnxBuilder(opset), np.random.default_rng(seed)
    ints = lambda *values: b.constant(values, np.int64)  # noqa: E731
    y = b.node("Conv", b.input(SHAPE), b.constant(rng.normal(size=(4, 3, 3, 3)), np.float32), auto_pad="SAME_UPPER")
    statistics = [b.constant(rng.uniform(0.5, 1.5, 4), np.float32) for _ in range(4)]
    y = b.node("BatchNormalization", y, *statistics, **({"spatial": 1} if opset < 9 else {}), momentum=0.8)
    if opset < 11:
        y = b.node("Clip", y, min=-0.8, max=1.2)
        y = b.node("Pad", y, pads=[0, 0, 1, 0, 0, 0, 0, 1], value=0.4)
    else:
        y = b.node("Clip", y, b.constant(-0.8, np.float32), b.constant(1.2, np.float32))
        y = b.node("Pad", y, ints(0, 0, 1, 0, 0, 0, 0, 1), b.constant(0.4, np.float32))
    if opset < 9:
        y = b.node("Upsample", y, scales=[1.0, 1.0, 2.0, 1.5], mode="linear")
    elif opset < 10:
        y = b.node("Upsample", y, b.constant([1, 1, 2, 1.5], np.float32), mode="linear")
    elif opset < 11:
        y = b.node("Resize", y, b.constant([1, 1, 0.6, 1.5], np.float32), mode="nearest")
    if opset < 10:
        y = b.node("Slice", y, starts=[1, 0], ends=[6, -1], axes=[2, 3])
    else:
        y = b.node("Slice", y, ints(1, 0), ints(6, -1), ints(2, 3))
    first, second = (b.name("part") for _ in range(2))
    sizes = {"split": [1, 3]} if opset < 13 else {}
    b.nodes.append(
        onnx.helper.make_node("Split", [y, *([] if sizes else [ints(1, 3)])], [first, second], axis=1, **sizes)
    )
    y = b.node("Dropout", second, **({"ratio": 0.3} if opset < 12 else {}))
    axes = {"axes": [2]} if opset < 13 else {}
    y = b.node("ReduceSum", y, *([] if axes else [ints(2)]), keepdims=1, **axes)
    y = b.node("Squeeze", y, *([] if axes else [ints(2)]), **axes)
    y = b.node("Unsqueeze", y, *([] if axes else [ints(2)]), **axes)
    b.output(b.node("Softmax", y, axis=1))
    b.output(b.node("LogSoftmax", y))
    return b


@pytest.mark.parametrize("opset", range(OLDEST, TARGET + 1))
def test_a_network_of_all_opsets(opset, tmp_path):
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    compared(network(opset), {"x": x}, tmp_path / "m.onnx")


@pytest.mark.parametrize("opset", [11, TARGET, 14])
def test_hardmax_between_layers(opset, tmp_path):
    """It is written out, in operators that these opsets have; else nobody could infer a shape behind it."""
    b = OnnxBuilder(opset)
    b.output(b.node("Neg", b.node("Hardmax", b.input((2, 3, 4)), axis=1)))
    (y,) = compared(b, {"x": np.random.default_rng(4).normal(size=(2, 3, 4)).astype(np.float32)}, tmp_path / "m.onnx")
    assert y.sum() == (-2 if opset < 13 else -8)


def test_definitions_are_written_in_operators_of_every_opset():
    first = {name: min(s.since_version for s in SCHEMAS if s.name == name) for name in {s.name for s in SCHEMAS}}
    written = set[str]()
    for path in Path(onnx_definitions.__file__).parent.glob("onnx_*definitions.py"):
        written |= set(re.findall(r'\bdo\(\s*"(\w+)"', path.read_text()))
    assert len(written) > 20
    assert not {name for name in written if first[name] > TARGET}


@pytest.mark.parametrize("opset", [10, 11, 12])
def test_quantised(opset, tmp_path):
    """Softmax over several axes stays an int8 operator."""
    b = OnnxBuilder(opset)
    y = b.activation(b.input((1, 3, 2, 4)), 0.03, 3)
    b.output(b.activation(b.node("Softmax", y, axis=1), 1 / 256, -128))
    compared(
        b, {"x": np.random.default_rng(2).normal(size=(1, 3, 2, 4)).astype(np.float32)}, tmp_path / "m.onnx", 1 / 256
    )
    graph = load(tmp_path / "m.onnx", floats="none")
    assert "softmax" in [node.op.kind for node in graph.nodes]


@pytest.mark.parametrize("scales", [[1, 1, 2, 2], [1, 1, 0.5, 0.7], [1, 1, 0.37, 3.3]])
@pytest.mark.parametrize("known", ["initialiser", "constant", "computed"])
def test_resize_10(scales, known, tmp_path):
    """Nearest: rounded down along axes that grow and up along those that shrink."""
    b = OnnxBuilder(10)
    x = b.input((1, 2, 9, 7))
    name = b.constant(scales, np.float32)
    if known == "constant":
        name = b.node("Constant", value=onnx.numpy_helper.from_array(np.array(scales, np.float32)))
    elif known == "computed":
        name = b.node("Mul", name, b.constant(1, np.float32))
    b.output(b.node("Resize", x, name))
    compared(b, {"x": np.random.default_rng(3).normal(size=(1, 2, 9, 7)).astype(np.float32)}, tmp_path / "m.onnx")


def test_statistics_for_each_element(tmp_path):
    b, rng = OnnxBuilder(8), np.random.default_rng(5)
    statistics = [b.constant(rng.uniform(0.5, 2, (2, 3, 3)), np.float32) for _ in range(4)]
    b.output(b.node("BatchNormalization", b.input((1, 2, 3, 3)), *statistics, spatial=0, epsilon=0.01))
    compared(b, {"x": rng.normal(size=(1, 2, 3, 3)).astype(np.float32)}, tmp_path / "m.onnx")


@pytest.mark.parametrize("opset", [7, 10, 12, 13])
def test_masks_of_dropout(opset, tmp_path):
    """Zeros below opset 12, as onnxruntime has it, true elements from then on."""
    b = OnnxBuilder(opset)
    y = b.node("Dropout", b.input((2, 3)), outputs=2)
    b.output(y)
    b.output(b.nodes[-1].output[1], "float32" if opset < 10 else "bool")
    compared(b, {"x": np.ones((2, 3), np.float32)}, tmp_path / "m.onnx")


def test_opset_6_is_refused(tmp_path):
    b = OnnxBuilder(6)
    b.output(b.node("Relu", b.input((1, 2))))
    path = tmp_path / "m.onnx"
    path.write_bytes(b.model().SerializeToString())
    with pytest.raises(UnsupportedError, match="opset 7"):
        load(path, floats="all")


def test_names_that_are_taken(tmp_path):
    """New values don't meet the model's own."""
    b = OnnxBuilder(10)
    x = b.input((1, 4))
    b.nodes.append(onnx.helper.make_node("Abs", [x], ["y/min"]))
    b.nodes.append(onnx.helper.make_node("Clip", ["y/min"], ["y"], min=0.3))
    b.output("y")
    b.output("y/min")
    compared(b, {"x": np.array([[-1, 0.2, 0.4, 2]], np.float32)}, tmp_path / "m.onnx")


def test_a_part_of_a_shape(tmp_path):
    b = OnnxBuilder(15)
    x = b.input((1, 2, 3, 4))
    rows = b.node("Shape", x, start=-3, end=-1)
    b.output(b.node("Reshape", x, b.node("Concat", rows, b.constant([-1], np.int64), axis=0)))
    (y,) = compared(
        b, {"x": np.random.default_rng(4).normal(size=(1, 2, 3, 4)).astype(np.float32)}, tmp_path / "m.onnx"
    )
    assert y.shape == (2, 3, 4)
