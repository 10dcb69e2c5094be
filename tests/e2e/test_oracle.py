"""The certificate is worth something only if a wrong import shows: each test misreads a model on purpose."""

from __future__ import annotations

import json
import re
import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import tinycompile
from tests.e2e.test_onnx_float import with_an_island
from tests.support.onnx_builder import OnnxBuilder
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.cli import main
from tinycompile.dtypes import FLOAT32, UINT8, DType
from tinycompile.errors import MismatchError, TinycompileError, ToolMissingError
from tinycompile.frontend import onnx_contrib, onnx_elementwise, tflite_ops
from tinycompile.frontend.onnx_expansion import Expansion
from tinycompile.frontend.onnx_registry import IMPORTERS
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Placed
from tinycompile.ops.add import Add
from tinycompile.verify.compare import bisect_build, verify_build
from tinycompile.verify.exact import ExactEvaluator
from tinycompile.verify.outcome import Verification
from tinycompile.verify.places import Place
from tinycompile.verify.reference import Expected
from tinycompile.verify.tensors import compare, skipped

pytest.importorskip("onnxruntime", reason="the reference for ONNX models")
RNG = np.random.default_rng(0)


def built(model: onnx.ModelProto, tmp_path: Path, **options: Any) -> tinycompile.Build:
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    return tinycompile.compile(path, target="host", output=tmp_path / "out", **options)


def verified(build: tinycompile.Build, count: int = 3) -> Verification:
    t = build.inputs[0]
    x = RNG.normal(0, 1, (count, *t.shape))
    x = x.astype(np.float32) if t.dtype == FLOAT32 else np.round(x * 60).astype(t.dtype.carrier)
    return verify_build(build, [x])


def network(kind: str = "uint8") -> onnx.ModelProto:
    """Convolution, Relu, max pool, residual, Gemm and Softmax, all quantised."""
    b, zero = OnnxBuilder(), 128 if kind == "uint8" else 3
    x = b.activation(b.input((1, 3, 8, 8)), 0.03, zero, kind)

    def conv(x: str, c_in: int, scale: float, group: int = 1) -> str:
        w = b.weights(
            RNG.integers(-90, 90, (8, c_in // group, 3, 3)).astype(np.int8), RNG.uniform(0.01, 0.02, 8), [0] * 8
        )
        bias = b.constant(RNG.normal(0, 0.3, 8), np.float32)
        return b.activation(
            b.node("Relu", b.node("Conv", x, w, bias, pads=[1, 1, 1, 1], group=group)), scale, zero, kind
        )

    y = conv(x, 3, 0.06)
    z = conv(y, 8, 0.2, 8)
    y = b.activation(b.node("Add", y, z), 0.2, zero, kind)
    y = b.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = b.node("Flatten", y)
    w = b.weights(RNG.integers(-90, 90, (5, 128)).astype(np.int8), 0.01, 0)
    y = b.activation(b.node("Gemm", y, w, b.constant(RNG.normal(0, 1, 5), np.float32), transB=1), 0.5, zero, kind)
    b.output(b.activation(b.node("Softmax", y), 1 / 256, 0 if kind == "uint8" else -128, kind))
    return b.model()


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    built(network("int8"), folder)
    return folder / "out"


@pytest.fixture
def copy(clean: Path, tmp_path: Path) -> tinycompile.Build:
    """A right build that a test may change."""
    return tinycompile.Build(Path(shutil.copytree(clean, tmp_path / "out")))


def small() -> onnx.ModelProto:
    """Relu of two sums and a Softmax."""
    b = OnnxBuilder()
    x = b.activation(b.input((1, 8)), 0.03, 3)
    w = b.weights(RNG.integers(-90, 90, (8, 8)).astype(np.int8), 0.02, 0)
    y = b.activation(b.node("Relu", b.node("MatMul", x, w)), 0.03, -20)
    y = b.activation(b.node("Add", x, y), 0.05, 7)
    b.output(b.activation(b.node("Softmax", y), 1 / 256, -128))
    return b.model()


def with_dead_channels() -> onnx.ModelProto:
    """Two convolutions, of the first some channels have no weights: the firmware doesn't have them."""
    b = OnnxBuilder()
    x = b.activation(b.input((1, 3, 8, 8)), 0.03, 128, "uint8")
    for c_in, dead in ((3, 3), (8, 0)):
        values = RNG.integers(-90, 90, (8, c_in, 3, 3)).astype(np.int8)
        values[8 - dead :] = 0
        bias = b.constant(RNG.normal(0, 0.3, 8), np.float32)
        x = b.activation(b.node("Relu", b.node("Conv", x, b.weights(values, 0.01, 0), bias)), 0.06, 0, "uint8")
    b.output(x)
    return b.model()


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_a_right_import_is_certified(kind: str, tmp_path: Path) -> None:
    build = built(network(kind), tmp_path)
    found = verified(build)
    assert found.difference is None
    assert [w.name for w in found.witnesses] == ["onnxruntime", "onnx ReferenceEvaluator"]
    assert found.tensors >= 3 * 7
    document = json.loads((build.folder / "certificate.json").read_text())
    assert document["references"][0]["version"] and "optimisations off" in document["references"][0]["options"]
    assert document["references"][1]["role"] == "decides ties"
    for layer in document["layers"]:
        assert layer["equal"] + layer["ties"] + layer["within_bound"] + layer["differences"] == layer["values"]


def test_types_that_only_onnxruntime_knows(tmp_path: Path) -> None:
    """Of the results of its own operators, uint8 here."""
    b = OnnxBuilder()
    q = b.quantize(b.input((1, 8)), 0.03, 120, "uint8")
    parameters = [b.parameters(scale, zero, "uint8") for scale, zero in ((0.03, 120), (0.03, 120), (0.05, 131))]
    y = b.node("QLinearAdd", q, *parameters[0], q, *parameters[1], *parameters[2], domain="com.microsoft")
    y = b.node("QLinearSigmoid", y, *parameters[2], *b.parameters(1 / 256, 0, "uint8"), domain="com.microsoft")
    b.output(b.dequantize(y, 1 / 256, 0, "uint8"))
    model = b.model()
    for size in (1, 8):
        model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = size
    found = verified(built(model, tmp_path))
    assert found.difference is None and found.witnesses[0].name == "onnxruntime"


def test_layouts_and_edges(tmp_path: Path) -> None:
    for options in ({"layout": "nhwc", "io": "int8"}, {"input_stream": "rows"}):
        assert verified(built(network("int8"), tmp_path, **options)).difference is None, options


def noticed(model: onnx.ModelProto, tmp_path: Path, **options: Any) -> Verification | str:
    """The misread model doesn't get a clean certificate."""
    try:
        found = verified(built(model, tmp_path, **options))
    except MismatchError as error:
        return str(error)
    assert found.difference is not None
    return found


def test_a_wrong_zero_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = IMPORTERS["QuantizeLinear"]

    def shifted(scope: Scope) -> None:
        constant = scope.constant
        monkeypatch.setattr(scope, "constant", lambda i, what: constant(i, what) + (1 if i == 2 else 0), raising=False)
        original(scope)

    monkeypatch.setitem(IMPORTERS, "QuantizeLinear", shifted)
    noticed(small(), tmp_path)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_wrong_type(layer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some tensor's int8 is read as uint8, as it was from `output_dtype`."""
    original, seen = onnx_elementwise.quantized_with, list[str]()

    def other(*given: Any) -> tuple[Placed, DType]:
        at, dtype = original(*given)
        seen.extend([at.name] if at.name not in seen else [])
        return at, UINT8 if seen.index(at.name) == layer else dtype

    monkeypatch.setattr(onnx_elementwise, "quantized_with", other)
    with suppress(TinycompileError):  # refused is as good
        noticed(small(), tmp_path)
    assert seen


def test_an_ignored_alpha(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    b = OnnxBuilder()
    q = b.quantize(b.input((1, 8)), 0.03, 0)
    w = b.constant(RNG.integers(-90, 90, (8, 6)).astype(np.int8))
    parameters = [b.parameters(0.03, 0, "int8"), b.parameters(0.01, 0, "int8"), b.parameters(0.1, 0, "int8")]
    operands = (q, *parameters[0], w, *parameters[1], "", *parameters[2])
    b.output(b.dequantize(b.node("QGemm", *operands, domain="com.microsoft", alpha=0.5), 0.1, 0))
    model, original = b.model(), onnx_contrib.expanded
    for size in (1, 6):
        model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = size
    assert verified(built(model, tmp_path)).difference is None

    def without_alpha(step: Expansion) -> Any:
        clone = onnx.NodeProto()
        clone.CopyFrom(step.node)
        del clone.attribute[:]
        clone.attribute.extend(a for a in step.node.attribute if a.name != "alpha")
        return original(Expansion(clone, set(), step.typed, step.opset, step.constants))

    monkeypatch.setattr(onnx_contrib, "expanded", without_alpha)
    noticed(model, tmp_path)


@pytest.mark.parametrize(("operator", "read_as"), [("Add", "Sub"), ("Relu", "Identity"), ("Softmax", "Sigmoid")])
def test_another_operator(operator: str, read_as: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(scope: Scope) -> None:
        scope.node.op_type = read_as
        try:
            IMPORTERS[read_as](scope)
        finally:
            scope.node.op_type = operator

    monkeypatch.setitem(IMPORTERS, operator, other)
    noticed(small(), tmp_path)


def test_outputs_in_another_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    b = OnnxBuilder()
    x = b.activation(b.input((1, 8)), 0.03, 3)
    b.output(b.activation(b.node("Relu", x), 0.03, 3))
    b.output(b.activation(b.node("Neg", x), 0.03, 3))
    from tinycompile.frontend.builder import GraphBuilder

    original = GraphBuilder.graph
    swapped = lambda self, name, inputs, outputs: original(self, name, inputs, outputs[::-1])  # noqa: E731
    monkeypatch.setattr(GraphBuilder, "graph", swapped)
    noticed(b.model(), tmp_path)


def test_mul_read_as_add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert", reason="the reference for TFLite models")
    b = TfliteBuilder()
    x = b.tensor((1, 4, 4, 8), scale=0.05, zero_point=3)
    c = b.constant(RNG.integers(-90, 90, (1, 1, 1, 8)).astype(np.int8), scale=0.02)
    y = b.tensor((1, 4, 4, 8), scale=0.05, zero_point=-4)
    b.op("MUL", [x, c], [y], FusedActivationFunction=0)
    path = tmp_path / "mul.tflite"
    path.write_bytes(b.build([x], [y]))
    as_add = replace(tflite_ops.IMPORTERS["MUL"], run=lambda scope: scope.emit(Add(), [scope.input(0), scope.input(1)]))
    as_add = replace(as_add, options=None)
    monkeypatch.setitem(tflite_ops.IMPORTERS, "MUL", as_add)
    build = tinycompile.compile(path, target="host", output=tmp_path / "out")
    assert verified(build).difference is not None


def test_an_interface_with_another_quantisation(tmp_path: Path) -> None:
    """The bytes are right, what they are said to mean isn't."""
    pytest.importorskip("ai_edge_litert", reason="the reference for TFLite models")
    from tests.conftest import DIGITS

    build = tinycompile.compile(DIGITS / "digits_int8.tflite", target="host", output=tmp_path / "out")
    build.report["outputs"][0]["zero_point"] = (build.report["outputs"][0]["zero_point"] or 0) + 1
    build.report["outputs"][0]["scale"] = build.report["outputs"][0]["scale"] or 1.0
    with pytest.raises(MismatchError, match="quantisation"):
        verified(build)


def test_channels_that_the_firmware_does_not_have(tmp_path: Path) -> None:
    build = built(with_dead_channels(), tmp_path)
    assert build.report["eliminated"]["channels"] >= 3
    assert any(o["source_channels"] for layer in build.report["layers"] for o in layer["outputs"])
    assert verified(build).difference is None


@pytest.mark.parametrize("schedule", ["stream"])
def test_parts_of_tensors(schedule: str, tmp_path: Path) -> None:
    build = built(network("int8"), tmp_path, schedule=schedule, optimize="ram")
    assert build.report["stages"]
    assert verified(build).difference is None


def test_floats(tmp_path: Path) -> None:
    """An island's floats within the bound, all integers exactly: a step more or less at the end is a difference."""
    with pytest.warns(UserWarning, match="Softmax"):
        build = built(with_an_island(), tmp_path)
    found = verified(build, 5)
    assert found.difference is None
    assert found.error < 1e-5
    floats = [o for layer in build.report["layers"] for o in layer["outputs"] if o["dtype"] == "float32"]
    assert len(floats) >= 3 and {o["name"] for o in floats} - set(found.skipped)


def test_a_step_is_right_only_where_the_exact_sum_says_so() -> None:
    want, got = np.array([1, 2, 3, 4], np.int8), np.array([1, 3, 3, 6], np.int8)
    known = np.ones(4, bool)
    assert compare(Expected(want), got, known).wrong.tolist() == [False, True, False, True]
    other = compare(Expected(want, decide=lambda: np.array([1, 2, 3, 6], np.int8)), got, known)
    assert other.wrong.tolist() == [False, True, False, True] and other.ties == 0
    right = compare(Expected(want, decide=lambda: np.array([1, 3, 3, 6], np.int8)), got, known)
    assert right.wrong.tolist() == [False, False, False, True] and right.ties == 1  # two steps are never a tie
    assert compare(Expected(want, decide=lambda: None), got, known).wrong.sum() == 2
    floats = np.array([1, np.nan, np.inf, 0], np.float32)
    near = np.array([1 + 1e-6, np.nan, 2, 1e-3], np.float32)
    assert compare(Expected(floats, bits=False), near, known).wrong.tolist() == [False, False, True, True]
    assert compare(Expected(floats), near, known).wrong.tolist() == [True, False, True, True]
    largest = np.finfo(np.float32).max  # to which LiteRT limits what we leave an infinity
    ends, ours = (
        np.array(values, np.float32) for values in ([-largest, largest, 1, np.inf], [-np.inf, -np.inf, np.inf, 1])
    )
    assert compare(Expected(ends, bits=False), ours, known).wrong.tolist() == [False, True, True, True]


@pytest.mark.parametrize("bits", [True, False])
def test_scalars(bits: bool) -> None:
    known = np.ones((), bool)
    for dtype in (np.int8, np.float32):
        want = np.array(3, dtype)
        assert not compare(Expected(want, bits), want.copy(), known).wrong.any()
        wrong = compare(Expected(want, bits), np.array(5, dtype), known).wrong
        assert wrong.shape == () and wrong.all()
    place = Place("x", Placed("x", (), ()), (), {"dtype": "int8", "shape": [], "source_channels": None})
    array = np.array(7, np.int8)
    assert place.ours(array).shape == place.theirs(array, np.dtype(np.int8), None).shape == ()


def test_a_wrong_byte_is_found_where_it_is(copy: tinycompile.Build) -> None:
    """Each layer is computed from the firmware's own operands: what follows a wrong layer isn't accused."""
    names = [layer["name"] for layer in copy.report["layers"]]
    broken = next(i for i, layer in enumerate(copy.report["layers"]) if layer["op"] == "add")
    code = copy.folder / f"{copy.model}.c"
    start, end = (code.read_text().index(f"/* {n}: ") for n in (broken, broken + 1))
    text = code.read_text()
    call = re.search(r"^ +(\w+)\(\n?.*?\);\n", text[start:end], re.MULTILINE | re.DOTALL)
    assert call
    code.write_text(text[: start + call.start()] + f"(void){call[1]};\n" + text[start + call.end() :])
    found = bisect_build(copy, [np.ones((1, *copy.inputs[0].shape), np.float32)])
    assert found.difference is not None and found.difference.layer == names[broken]
    wrong = {layer.name for layer in verified(copy).layers if layer.differences}
    assert wrong == {names[broken]}


def test_without_onnxruntime(copy: tinycompile.Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ToolMissingError, match=r"tinycompile\[verify\]"):
        verified(copy)


def test_a_model_that_onnxruntime_refuses(copy: tinycompile.Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then onnx's own evaluator is the reference, and the certificate says so."""
    import onnxruntime

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("not implemented")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    found = verified(copy)
    assert found.difference is None
    document = json.loads((copy.folder / "certificate.json").read_text())
    (only,) = document["references"]
    assert only["name"] == "onnx ReferenceEvaluator" and "not implemented" in only["options"]
    assert {layer["reference"] for layer in document["layers"]} == {0}


def test_a_certificate_of_before(copy: tinycompile.Build) -> None:
    verified(copy)
    path = copy.folder / "certificate.json"
    command = ["verify", str(copy.folder), "--check-certificate"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0 and "onnxruntime" in result.output, result.output
    document = json.loads(path.read_text())
    del document["format"]
    path.write_text(json.dumps(document))
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2 and "another version" in result.output and "compares again" in result.output


@pytest.mark.parametrize("file", ["exact", "microsoft", "cut", "places", "reference"])
def test_the_references_share_nothing_with_the_importer(file: str) -> None:
    import ast

    from tests.conftest import ROOT

    tree = ast.parse((ROOT / f"tinycompile/verify/{file}.py").read_text())
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    ours = {name for name in names if name.startswith("tinycompile")}
    assert not {name for name in ours if ".frontend" in name or ".ops" in name or ".interpreter" in name}


MICROSOFT: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "QLinearAdd": (["x", 0.11, 3, "x", 0.053, -4, 0.17, 7], {}),
    "QLinearMul": (["x", 0.1, 3, "x", 0.05, -4, 0.2, 7], {}),
    "QLinearSigmoid": (["x", 0.1, 3, 1 / 256, -128], {}),
    "QLinearLeakyRelu": (["x", 0.1, 3, 0.1, 3], {"alpha": 0.3}),
    "QLinearSoftmax": (["x", 0.1, 3, 1 / 256, -128], {"axis": 1, "opset": 12}),
    "QLinearAveragePool": (["x", 0.1, 3, 0.13, 3], {"kernel_shape": [2, 2], "channels_last": 0}),
    "QLinearGlobalAveragePool": (["x", 0.1, 3, 0.13, 3], {"channels_last": 1}),
    "QLinearConcat": ([0.2, 7, "x", 0.1, 3, "x", 0.05, -4], {"axis": 1}),
}


@pytest.mark.parametrize("kind", MICROSOFT)
def test_microsoft_operators(kind: str) -> None:
    """Our reading of onnxruntime's documentation against onnxruntime."""
    import onnxruntime

    operands, attributes = MICROSOFT[kind]
    b = OnnxBuilder()
    x = b.input((1, 3, 4, 6), "int8")
    names = [x if v == "x" else b.constant(v, np.int8 if isinstance(v, int) else np.float32) for v in operands]
    b.output(b.node(kind, *names, domain="com.microsoft", **attributes), "int8")
    model, name = b.model(), b.outputs[0].name
    array = RNG.integers(-128, 128, (1, 3, 4, 6)).astype(np.int8)
    want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": array})[0]
    got = ExactEvaluator(model).value(name, {"x": array})
    assert got.dtype == want.dtype and got.shape == want.shape
    assert np.abs(got.astype(int) - want).max() <= 1 and np.mean(got != want) < 0.05


def test_an_output_that_the_file_lacks_as_a_tensor_is_compared_all_the_same() -> None:
    names = ["a", "copy", "scores_output"]
    report = {"outputs": [{"name": "scores_output"}], "layers": [{"outputs": [{"name": name}]} for name in names]}
    reference: Any = SimpleNamespace(skipped=lambda entries: [entry["name"] for entry in entries[1:]])
    build: Any = SimpleNamespace(report=report)
    assert skipped(build, reference) == ["copy"]
