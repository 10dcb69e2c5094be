"""Models run operator by operator: each by the kernels that define it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType
from click.testing import CliRunner

import tinycompile
from tests.frontend.test_tflite_blocks import model as blockwise_model
from tests.ops import test_signal_framer
from tests.ops.tflm_models import MODELS, built
from tests.support.litert import Oracle
from tests.support.lstm_models import LstmForm, lstm_model, sequence
from tests.support.tflite_builder import NONE, SAME, TfliteBuilder
from tinycompile import interpreter
from tinycompile.cli import main
from tinycompile.dtypes import INT2, INT4, DType
from tinycompile.errors import ModelFileError, ToolMissingError
from tinycompile.frontend import tflite_support
from tinycompile.frontend.tflite import import_tflite
from tinycompile.verify.certificate import load_certificate
from tinycompile.verify.compare import verify_build
from tinycompile.verify.operators import Operators
from tinycompile.verify.runtimes import preference


def model() -> bytes:
    """Rows, limited, summed, and an exponential function; constants inside."""
    b = TfliteBuilder()
    x, limited, y = b.tensor((3, 8), 0.5, 3), b.tensor((3, 8), 0.25, -3), b.tensor((3,), 1.0, 5)
    b.op("RELU", [x], [limited])
    b.op("SUM", [limited, b.constant(np.array([1], np.int32))], [y])
    z = b.tensor((3,), 0.1, 5)
    b.op("ELU", [y], [z])
    return b.build([x], [z])


def test_nobody_is_asked_of_weights_in_blocks() -> None:
    """LiteRT's kernels are wrong there: the firmware's own result is what the next operators get."""
    content, _ = blockwise_model()
    operators, x = Operators(content, 0), np.ones((2, 8), np.float32)
    values = operators.computed({0: x}, lambda tensor: np.full((2, 3), tensor, np.float32))
    (result,) = operators.unwitnessed
    assert np.all(values[result] == result)


@pytest.mark.parametrize(
    ("operator", "activations", "weights"),
    [
        ("CONV_2D", "float32", INT2),
        ("CONV_2D", "int8", INT2),
        ("CONV_2D", "int16", INT2),
        ("DEPTHWISE_CONV_2D", "int8", INT2),
        ("DEPTHWISE_CONV_2D", "int16", INT2),
        ("DEPTHWISE_CONV_2D", "int16", INT4),
    ],
    ids=str,
)
def test_packed_weights_that_litert_misreads(operator: str, activations: str, weights: DType, tmp_path: Path) -> None:
    """Its kernels take them for bytes or refuse them; with int8 of the same values they are asked."""
    b, floats = TfliteBuilder(), activations == "float32"
    depthwise = operator == "DEPTHWISE_CONV_2D"
    filters = np.random.default_rng(3).integers(-2, 2, (1 if depthwise else 8, 3, 3, 8)).astype(np.int8)
    x = b.tensor((1, 5, 5, 8), None if floats else 0.125, dtype=activations)
    y = b.tensor((1, 5, 5, 8), None if floats else 0.75, dtype=activations)
    data, axis = weights.pack(filters).tobytes(), 3 if depthwise else 0
    w = b.tensor(filters.shape, [0.5] * 8, dtype=weights.name, axis=axis, data=data)
    zeros = np.zeros(8, {"float32": np.float32, "int8": np.int32, "int16": np.int64}[activations])
    bias = b.constant(zeros, None if floats else [0.0625] * 8)
    multiplier = {"DepthMultiplier": 1} if depthwise else {}
    b.op(operator, [x, w, bias], [y], Padding=SAME, StrideH=1, StrideW=1, FusedActivationFunction=NONE, **multiplier)
    path = tmp_path / "model.tflite"
    path.write_bytes(b.build([x], [y]))
    build = tinycompile.compile(path, target="host", dtype="float32" if floats else "int8", output=tmp_path / "out")
    samples = np.random.default_rng(4).integers(-100, 100, (3, 1, 5, 5, 8)).astype(activations)
    found = verify_build(build, [samples])
    assert found.difference is None and not found.skipped


def test_each_by_its_kernel() -> None:
    x = np.random.default_rng(0).integers(-128, 128, (3, 8)).astype(np.int8)
    operators = Operators(model(), 0)
    values = operators.computed({0: x}, lambda _: None)
    default = Oracle(model(), OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES).run([x])
    for tensor in (1, 2, 4):
        np.testing.assert_array_equal(values[tensor], default[tensor])
    asked = {step.name: step.kernels and step.kernels.oracle for step in operators.steps}
    assert asked == {"RELU": "reference", "SUM": "default", "ELU": "default"}
    assert not operators.unwitnessed


def test_a_root_by_the_rule_of_another_runtime() -> None:
    """Of int16, of which LiteRT has no kernel that is right; written twice: two mistakes would have to agree."""
    x = np.arange(-32768, 32768).astype(np.int16)
    for x_scale, y_scale in ((1.2e-4, 9.6e-5), (4.5e-6, 8.1e-5), (2.0, 1e-3), (1e-4, 1.0)):
        b = TfliteBuilder()
        places = b.tensor(x.shape, x_scale, dtype="int16"), b.tensor(x.shape, y_scale, dtype="int16")
        b.op("RSQRT", places[:1], places[1:])
        content = b.build(places[:1], places[1:])
        graph = import_tflite(content, "m", "m.tflite")
        ours = interpreter.run(graph, [x])[graph.outputs[0]]
        np.testing.assert_array_equal(Operators(content, 0).computed({0: x}, lambda _: None)[1], ours)


def test_who_is_asked_first() -> None:
    assert preference("SUM", "int8", "litert") == ["default", "reference", "tflm"]
    assert preference("SUM", "float32", "litert") == ["reference", "default", "tflm"]
    assert preference("RSQRT", "int16", "litert") == ["tflm", "rule"]
    assert preference("SUM", "int8", "tflm") == ["tflm", "default", "reference"]


def test_the_certificate_names_them(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(model())
    build = tinycompile.compile(path, target="host", output=tmp_path / "out")
    x = np.random.default_rng(1).integers(-128, 128, (4, 3, 8)).astype(np.int8)
    assert verify_build(build, [x]).difference is None
    certificate = load_certificate(build.folder, "model")
    assert certificate["match"] == "litert"
    names = {each["name"]: each["options"] for each in certificate["references"]}
    assert names == {
        "LiteRT BUILTIN": "operator by operator: ELU, SUM",
        "LiteRT BUILTIN_REF": "operator by operator: RELU",
    }
    by = {layer["name"]: certificate["references"][layer["reference"]]["name"] for layer in certificate["layers"]}
    assert set(by.values()) == names.keys()


def test_what_no_runtime_has_is_taken_from_the_firmware(tmp_path: Path) -> None:
    """Depth to space of int16: only moves elements. What comes after it is compared."""
    b = TfliteBuilder()
    x = b.tensor((1, 2, 2, 4), 0.01, dtype="int16")
    y = b.tensor((1, 4, 4, 1), 0.01, dtype="int16", name=f"{'__main__.Net/torch.nn.modules.' * 4}PixelShuffle;2")
    b.op("DEPTH_TO_SPACE", [x], [y], BlockSize=2)
    z = b.tensor((1, 4, 4, 1), 0.02, dtype="int16")
    b.op("RELU", [y], [z])
    path = tmp_path / "model.tflite"
    path.write_bytes(b.build([x], [z]))
    build = tinycompile.compile(path, target="host", output=tmp_path / "out")
    samples = np.arange(-8, 8, dtype=np.int16).reshape(1, 1, 2, 2, 4)
    found = verify_build(build, [samples])
    assert found.difference is None and found.tensors == 2  # the result, of both builds
    assert len(found.skipped) == 1
    np.save(tmp_path / "x.npy", samples)
    shown = CliRunner().invoke(main, ["verify", str(build.folder), "--samples", str(tmp_path / "x.npy")])
    (line,) = (line for line in shown.output.splitlines() if "not compared" in line)
    assert line.endswith(": depth_to_space_1")  # its label


def test_a_build_for_tflm_needs_its_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, inputs = built("tanh")
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    build = tinycompile.compile(path, target="host", match="tflm", output=tmp_path / "out")
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    with pytest.raises(ToolMissingError, match="TFLM's kernels are not installed"):
        verify_build(build, [inputs[0][None]])


def test_an_operator_that_only_tflm_has_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = test_signal_framer.FORMS[0]
    path = tmp_path / "model.tflite"
    path.write_bytes(form.content())
    build = tinycompile.compile(path, target="host", output=tmp_path / "out")
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    with pytest.raises(ModelFileError, match=r"(?s)SignalFramer.*TFLM's wheel.*try: pip install 'tinycompile\[tflm\]'"):
        verify_build(build, [np.stack(each) for each in zip(*form.sequence(2), strict=True)])


def test_a_build_for_tflm_is_compared_with_it(tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro", reason="the wheel tflite-micro isn't installed")
    content, inputs = built(*MODELS)
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    build = tinycompile.compile(path, target="host", match="tflm", output=tmp_path / "out")
    found = verify_build(build, [value[None] for value in inputs])
    assert found.difference is None
    assert [witness.name for witness in found.witnesses] == ["TFLM"]
    assert load_certificate(build.folder, "model")["match"] == "tflm"


def test_a_version_that_the_reference_lacks(tmp_path: Path) -> None:
    """The whole file doesn't load; the operators do."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 2, 2, 4), 0.01, 3), b.tensor((1, 4, 4, 1), 0.01, 3)
    b.op("DEPTH_TO_SPACE", [x], [y], BlockSize=2).version = 2
    path = tmp_path / "model.tflite"
    path.write_bytes(b.build([x], [y]))
    assert tflite_support.SUPPORT["DEPTH_TO_SPACE"].int8 == "reference"
    build = tinycompile.compile(path, target="host", output=tmp_path / "out")
    found = verify_build(build, [np.arange(16, dtype=np.int8).reshape(1, 1, 2, 2, 4)])
    assert found.difference is None
    assert [witness.name for witness in found.witnesses] == ["LiteRT BUILTIN"]


def test_variables_stay_with_their_operator() -> None:
    """Operator by operator as in the whole file, from one inference to the next."""
    form = LstmForm(batch=2)
    content = lstm_model(form)
    apart, whole = Operators(content, 0), Oracle(content)
    assert apart.has_variables
    (x,), (y,) = ([detail["index"] for detail in details] for details in (apart.inputs, apart.outputs))
    for values in sequence(form, 3):
        np.testing.assert_array_equal(apart.computed({x: values}, lambda _: None)[y], whole.run([values])[y])
