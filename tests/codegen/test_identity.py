"""The number that ties separate weights to their code: what gives bytes their meaning is in it, and nothing else."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.conftest import DIGITS
from tests.support.onnx_builder import OnnxBuilder
from tests.support.tflite_builder import NONE, SAME, TfliteBuilder
from tinycompile.codegen.blob import edge_table
from tinycompile.codegen.program import Program
from tinycompile.frontend.survey import survey
from tinycompile.lowering import lower, project_of, source_facts
from tinycompile.options import Options
from tinycompile.targets import load_board


@dataclass(frozen=True)
class Net:
    """A convolution with two pointwise readers of the same type: two outputs. Every field is something to change."""

    weights: int = 0
    input_quantization: tuple[float, int] = (0.05, 3)
    output_quantization: tuple[float, int] = (0.7, -5)
    input_name: str = "image"
    output_names: tuple[str, str] = ("left", "right")
    hidden: str = "conv"
    swapped: bool = False
    flat: bool = False

    def content(self) -> bytes:
        b, rng = TfliteBuilder(), np.random.default_rng(self.weights)
        x = b.tensor((1, 4, 4, 2), *self.input_quantization, name=self.input_name)
        y = b.tensor((1, 4, 4, 4), 0.2, name=f"{self.hidden}/out")
        fields = {"StrideH": 1, "StrideW": 1, "Padding": SAME, "FusedActivationFunction": NONE}
        kernel = b.constant(rng.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8), [0.01] * 4, name=f"{self.hidden}/w")
        b.op("CONV_2D", [x, kernel, -1], [y], **fields)
        outputs = []
        for name in self.output_names:
            made = b.tensor((1, 4, 4, 2), *self.output_quantization, name=name if not self.flat else f"{name}_4d")
            kernel = b.constant(rng.integers(-127, 128, (2, 1, 1, 4)).astype(np.int8), [0.02] * 2, name=f"{name}/w")
            b.op("CONV_2D", [y, kernel, -1], [made], **fields)
            if self.flat:
                flat = b.tensor((1, 32), *self.output_quantization, name=name)
                shape = b.constant(np.array([1, 32], np.int32))
                b.op("RESHAPE", [made, shape], [flat], NewShape=[1, 32])
                made = flat
            outputs.append(made)
        return b.build([x], outputs[::-1] if self.swapped else outputs)


def program(
    net: Net, folder: Path, *, file: str = "net.tflite", others: tuple[Path, ...] = (), **options: str
) -> Program:
    path = folder / file
    path.write_bytes(net.content())
    return program_of([path, *others], **options)


def program_of(paths: list[Path], labels: tuple[str, ...] = (), **options: str) -> Program:
    """What would be printed of the first of these models, with its number."""
    board, chosen = load_board("mps2-an386"), Options("mps2-an386", weights="separate", **options)
    lowered, layout = lower(paths, board, chosen)
    found = [
        replace(each, facts=replace(source_facts(path, survey(path), chosen), labels=labels))
        for each, path in zip(lowered, paths, strict=True)
    ]
    return project_of(board, layout, found, separate=True).programs[0]


BASE = Net()
MEANING = {
    "output scale": Net(output_quantization=(0.7000001, -5)),
    "output zero point": Net(output_quantization=(0.7, -4)),
    "input scale": Net(input_quantization=(0.0500001, 3)),
    "input zero point": Net(input_quantization=(0.05, 2)),
    "input name": Net(input_name="picture"),
    "output name": Net(output_names=("left", "other")),
    "order of outputs": Net(swapped=True, output_names=("right", "left")),
    "shape": Net(flat=True),
}


@pytest.mark.parametrize("what", MEANING)
def test_what_gives_bytes_a_meaning_is_in_the_number(what: str, tmp_path: Path) -> None:
    assert program(MEANING[what], tmp_path).graph_id != program(BASE, tmp_path).graph_id


@pytest.mark.parametrize("labels", [("cat", "dog"), ("dog", "cat"), ("catdog", ""), ("cat",)])
def test_labels_are_in_the_number(labels: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(BASE.content())
    others = [(), ("cat", "dog", "cow")]
    assert program_of([path], labels).graph_id not in [program_of([path], other).graph_id for other in others]


def test_the_order_of_axes_is_in_the_number(tmp_path: Path) -> None:
    """Of a cube, for an operator that has no axes: no byte is elsewhere, and no code differs."""
    b = OnnxBuilder()
    x = b.dequantize(b.quantize(b.input((1, 4, 4, 4)), 0.1, 0), 0.1, 0)
    y = b.dequantize(b.quantize(b.node("Relu", x), 0.1, 0), 0.1, 0)
    path = tmp_path / "net.onnx"
    b.output(y)
    onnx.save(b.model(), path)
    numbers = [program_of([path], layout=layout).graph_id for layout in ("model", "nhwc")]
    assert numbers[0] != numbers[1]


ELSEWHERE = {
    "weights": (Net(weights=1), "net.tflite", 0),
    "names of layers": (Net(hidden="sequential_7/conv_3"), "net.tflite", 0),
    "name of the file": (BASE, "weights.tflite", 0),
    "another model of the firmware": (BASE, "net.tflite", 1),
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_what_gives_bytes_no_meaning_is_not_in_the_number(what: str, tmp_path: Path) -> None:
    net, file, others = ELSEWHERE[what]
    more = (DIGITS / "digits_int8.tflite",) * others
    changed, base = program(net, tmp_path, file=file, others=more), program(BASE, tmp_path)
    assert changed.graph_id == base.graph_id


def test_a_model_called_like_a_variable_of_the_code(tmp_path: Path) -> None:
    """`arena` is a word of the generated C, so that a replacement of words would take it away."""
    names = ("arena", "weights", "context", "n", "function_0", "int8_t")
    numbers = {program(BASE, tmp_path, file=f"{name}.tflite").graph_id for name in names}
    assert numbers == {program(BASE, tmp_path).graph_id}


def test_the_file_says_what_its_bytes_mean(tmp_path: Path) -> None:
    found = program(BASE, tmp_path)
    table = edge_table(found.edges)
    assert struct.unpack_from("<2I", table) == (1, 2)
    records = [struct.unpack_from("<fiII", table, 8 + 16 * index) for index in range(3)]
    image, result = (np.float32(0.05), 3, 32, 1), (np.float32(0.7), -5, 32, 1)
    assert records == [image, result, result]
