"""Files made to harm: names, external data, functions that multiply, tensors that can't exist."""

from __future__ import annotations

import copy
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

import tinycompile
from tests.conftest import DIGITS
from tests.frontend.models import CONV, SUM, W, X, Y, small_model
from tests.fuzz.mutate import NAMES
from tests.fuzz.seeds import tflite_seeds
from tests.support.onnx_builder import OnnxBuilder
from tests.support.tflite_builder import RELU, SAME, TfliteBuilder
from tinycompile.cli import main
from tinycompile.errors import ModelFileError, TinycompileError, UnsupportedError
from tinycompile.frontend import load
from tinycompile.frontend.onnx_untrusted import MAX_NODES
from tinycompile.passes import optimize

WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wtrigraphs -Werror".split()


def hostile_model(names: tuple[str, ...]) -> bytes:
    """A chain of convolutions whose tensors have these names."""
    b = TfliteBuilder()
    x = first = b.tensor((1, 3, 3, 1), 0.5, 3, name=names[0])
    for name in names[1:]:
        w = b.constant(np.full((1, 2, 2, 1), 7, np.int8), 0.1, name=name)
        y = b.tensor((1, 3, 3, 1), 1.0, -1, name=name)
        b.op("CONV_2D", [x, w, -1], [y], StrideH=1, StrideW=1, Padding=SAME, FusedActivationFunction=RELU)
        x = y
    return b.build([first], [x])


@pytest.mark.parametrize("stem", ["model", "int", "a b;$(touch escaped)", "*", "名前", "x" * 200, "-Wl,evil"])
def test_names_become_safe_c(stem: str, tmp_path: Path) -> None:
    """Under every warning, and nothing is written beside the output folder."""
    work = tmp_path / "work"
    work.mkdir()
    model = tmp_path / f"{stem}.tflite"
    model.write_bytes(hostile_model((*NAMES, *NAMES)))
    build = tinycompile.compile(model, target="host", output=work / "out", single_file=True)
    assert [path.name for path in work.iterdir()] == ["out"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([model.name, "work"])
    for path in (work / "out").rglob("*.[ch]"):
        assert path.read_text().isascii()
    single = work / "out" / "single" / f"{build.model}.c"
    subprocess.run(["gcc", "-std=c99", *WARNINGS, "-c", single, "-o", tmp_path / "single.o"], check=True)
    x = np.ones((1, 1, 3, 3, 1), np.int8)
    assert np.asarray(build.run(x)).shape == (1, 3, 3, 1)


def test_errors_are_printable(tmp_path: Path) -> None:
    b = small_model()
    b.tensors[SUM].name = "\x1b[2J\u202e" + "x" * 100_000
    b.ops[1].code = 199
    model = tmp_path / "m.tflite"
    model.write_bytes(b.build([X], [Y]))
    output = CliRunner().invoke(main, ["build", str(model), "-o", str(tmp_path / "out")]).output
    assert "\x1b" not in output and "\u202e" not in output and len(output) < 20_000


def with_external(folder: Path, location: str, **more: str) -> Path:
    b = OnnxBuilder()
    x = b.activation(b.input((1, 4)), 0.1, 3)
    b.output(b.activation(b.node("MatMul", x, b.weights(np.ones((4, 4), np.int8), 0.1, 0)), 0.1, 0))
    model = b.model()
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 2)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "inner" / "model.onnx"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_stays_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    path = with_external(tmp_path, "weights.bin")
    (path.parent / "weights.bin").write_bytes(bytes([1] * 16))
    load(path)
    (path.parent / "link.bin").symlink_to(tmp_path / "secret.bin")
    os.mkfifo(path.parent / "pipe.bin")
    places = ["../secret.bin", str(tmp_path / "secret.bin"), "link.bin", "pipe.bin", "/dev/zero", "", ".", "a\0b"]
    for location in (*places, "weights.bin/../../secret.bin", "missing.bin", "x" * 10_000):
        with pytest.raises(ModelFileError):
            load(with_external(tmp_path, location))
    for more in ({"offset": "-1"}, {"offset": "9", "length": "9"}, {"length": str(2**60)}, {"length": "many"}):
        with pytest.raises(ModelFileError):
            load(with_external(tmp_path, "weights.bin", **more))


def function(name: str, calls: str, times: int) -> onnx.FunctionProto:
    nodes = [
        helper.make_node(calls, [f"v{i}"], [f"v{i + 1}"], domain="f" if calls[0] == "f" else "") for i in range(times)
    ]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    return helper.make_function("f", name, ["v0"], [f"v{times}"], nodes, imports)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ([function("f0", "Relu", 10)] + [function(f"f{i}", f"f{i - 1}", 10) for i in range(1, 12)], f"{MAX_NODES}"),
        ([function("f0", "f1", 1), function("f1", "f0", 1)], "calls itself"),
    ],
)
def test_functions_that_multiply(functions: list[Any], message: str, tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy"]
    graph = helper.make_graph(
        [helper.make_node(functions[-1].name, ["x"], ["y"], domain="f")], "g", values[:1], values[1:]
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    path = tmp_path / "bomb.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=imports, functions=functions).SerializeToString())
    with pytest.raises(ModelFileError, match=message):
        load(path)


def one_node(kind: str, *constants: np.ndarray, **attributes: Any) -> bytes:
    b = OnnxBuilder()
    x = b.activation(b.input((1, 4)), 0.1, 3)
    huge = b.node(kind, *(b.constant(c) for c in constants), **attributes)
    b.output(b.activation(b.node("Add", x, huge), 0.1, 0))
    return b.model().SerializeToString()


def test_a_split_that_ended_the_process(tmp_path: Path) -> None:
    """Found by fuzzing: onnx's shape inference aborted."""
    b = OnnxBuilder(18)
    b.output(b.node("Split", b.input((6,)), outputs=4, num_outputs=3))
    path = tmp_path / "m.onnx"
    path.write_bytes(b.model().SerializeToString())
    with pytest.raises(ModelFileError, match="4 outputs"):
        load(path)


HUGE = {
    "ConstantOfShape": one_node("ConstantOfShape", np.array([2**40])),
    "Expand": one_node("Expand", np.zeros(1, np.float32), np.array([2**20, 2**20])),
    "Tile": one_node("Tile", np.zeros((1, 4), np.float32), np.array([2**36, 1])),
    "Range": one_node("Range", np.array(0.0, np.float32), np.array(1e30, np.float32), np.array(1.0, np.float32)),
    "Pad": one_node("Pad", np.zeros((1, 4), np.float32), np.array([2**38, 0, 0, 0])),
}


@pytest.mark.parametrize("kind", HUGE)
def test_constants_that_would_fill_the_memory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    path.write_bytes(HUGE[kind])
    with pytest.raises((ModelFileError, UnsupportedError)):
        load(path)


@pytest.mark.parametrize("shape", [(2**40,), (2**20, 2**20), (1 << 29, 1)])
def test_inputs_that_no_machine_has(shape: tuple[int, ...], tmp_path: Path) -> None:
    b = OnnxBuilder()
    b.output(b.activation(b.activation(b.input(shape), 0.1, 3), 0.2, 0))
    path = tmp_path / "huge.onnx"
    path.write_bytes(b.model().SerializeToString())
    with pytest.raises(ModelFileError, match="claims the shape"):
        load(path)


def test_what_depends_on_no_input_is_computed_now(tmp_path: Path) -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), 0.1, 0), b.tensor((1, 4), 0.2, 3)
    known, flat = b.constant(np.arange(4, dtype=np.int8).reshape(2, 2), 0.1), b.tensor((1, 4), 0.1, 0)
    b.op("RESHAPE", [known, b.constant(np.array([1, 4], np.int32))], [flat])
    b.op("ADD", [x, flat], [y])
    path = tmp_path / "m.tflite"
    path.write_bytes(b.build([x], [y]))
    graph = optimize(load(path))
    assert [node.op.kind for node in graph.nodes] == ["add"]
    path.write_bytes(b.build([x], [flat]))
    graph = optimize(load(path))
    assert [node.op.kind for node in graph.nodes] == ["identity"]
    assert graph.constants[graph.nodes[0].inputs[0]].ravel().tolist() == [0, 1, 2, 3]


def test_templates_come_from_our_folder_only() -> None:
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    from tinycompile.kernels.render import environment

    assert isinstance(environment(), SandboxedEnvironment)
    for name in ("../../README.md", "/etc/passwd", "model.h.j2/../../../pyproject.toml"):
        with pytest.raises(jinja2.TemplateNotFound):
            environment().get_template(name)


def test_a_name_is_no_template(tmp_path: Path) -> None:
    b = small_model()
    b.tensors[CONV].name = b.tensors[W].name = "{{ 7 * 7 }}{% raw %}"
    model = tmp_path / "{{ 7 * 7 }}.tflite"
    model.write_bytes(b.build([X], [Y]))
    tinycompile.compile(model, target="host", output=tmp_path / "out")
    assert not any("49" in p.name for p in (tmp_path / "out").iterdir())
    assert "{{ 7 * 7 }}" in next((tmp_path / "out").glob("model*7*.c")).read_text()
    assert (DIGITS / "digits_int8.tflite").exists()


def test_a_model_that_only_reshapes(tmp_path: Path) -> None:
    """Found by fuzzing: no layer was a call, and a variable was unused."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 6), 0.1, 0), b.tensor((1, 2, 3), 0.1, 0)
    b.op("RESHAPE", [x, b.constant(np.array([1, 2, 3], np.int32))], [y])
    path = tmp_path / "m.tflite"
    path.write_bytes(b.build([x], [y]))
    build = tinycompile.compile(path, target="host", output=tmp_path / "out")
    np.testing.assert_array_equal(build.run(np.arange(6, dtype=np.int8).reshape(1, 6)).ravel(), np.arange(6))


def test_a_mean_that_jumps(tmp_path: Path) -> None:
    """Found by fuzzing: with a scale this small all thresholds of the requantisation are the same."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 4, 4, 2), 0.05, -128), b.tensor((1, 2), 1e-45, 3)
    b.op("MEAN", [x, b.constant(np.array([1, 2], np.int32))], [y])
    path = tmp_path / "m.tflite"
    path.write_bytes(b.build([x], [y]))
    with pytest.raises(UnsupportedError, match=r"MEAN .* a requantisation factor of"):
        tinycompile.compile(path, target="host", output=tmp_path / "out")


def test_operators_without_results(tmp_path: Path) -> None:
    """Found by fuzzing: what an importer makes for itself is named after the first result. One of every operator."""
    path, refused = tmp_path / "m.tflite", 0
    for builder, inputs, outputs in tflite_seeds():
        left = copy.deepcopy(builder)
        for op in builder.ops:
            again = copy.deepcopy(op)
            again.outputs = []
            left.ops.append(again)
        path.write_bytes(left.build(inputs, outputs))
        try:
            load(path)
        except TinycompileError:
            refused += 1
    assert refused > 100
