"""What weights of few bits cost float models, by bits and method: the table of docs/low_bit.md.

    python -m benchmarks.low_bit_accuracy [NET ...] [--bits 4 3 2] [--methods nearest awq learned auto] [--write]

Nets: the digit recognisers of examples/, a convolutional one and a transformer, judged on writers that nobody trained
or calibrated with; and ResNet-8 of MLPerf Tiny (../shared/models), judged on 500 generated images (`generated_images`,
seed 1) and calibrated with 342 others (seed 2). A generated image shows nothing in particular: the float network gives two
classes nearly the same score far more often than for photographs. So the agreement is shown of all images, and of those
for whose class the float network has a probability of 0.6 or more.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.generated_images import generated_images
from benchmarks.pages import with_block
from tinycompile.quantize import quantize
from tinycompile.quantize.execution import outputs_of
from tinycompile.quantize.measure import sqnr

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "low_bit.md"
BEGIN, END = "<!-- methods: python -m benchmarks.low_bit_accuracy --write -->\n", "<!-- end of methods -->"
SURE = 0.6

Array = NDArray[Any]


@dataclass(frozen=True)
class Net:
    """A float model with inputs to calibrate and to judge with, float32 (samples, ...), and labels if there are any."""

    title: str
    model: Path
    calibration: Array
    judged: Array
    labels: Array | None = None


@dataclass(frozen=True)
class Row:
    """What was measured. part: of int8's weight bytes, scales included; ratio: of the logits, in dB."""

    net: str
    bits: str
    method: str
    part: float
    ratio: float
    same: float
    same_sure: float
    accuracy: float | None

    def line(self) -> str:
        right = "" if self.accuracy is None else f"{self.accuracy:.2%}"
        cells = [self.net, self.bits, self.method, f"{self.part:.1%}", f"{self.ratio:.1f}"]
        return f"| {' | '.join([*cells, f'{self.same:.1%}', f'{self.same_sure:.1%}', right])} |\n"


def digits() -> Net:
    folder = ROOT / "examples" / "digits"
    data = np.load(folder / "digits_calib.npz")
    return Net("digits, convolutions", folder / "digits.onnx", data["input_0"], data["x"], data["y"])


def transformer() -> Net:
    folder = ROOT / "examples" / "digits_vit"
    calibration, test = (np.load(folder / f"digits_vit_{name}.npz") for name in ("calib", "test"))
    return Net("digits, transformer", folder / "digits_vit.onnx", calibration["input_0"], test["x"], test["y"])


def resnet() -> Net:
    model = ROOT.parent / "shared" / "models" / "ic_resnet8.onnx"
    return Net("ResNet-8", model, generated_images(342, 32, 2) * 255, generated_images(500, 32, 1) * 255)


NETS: dict[str, Callable[[], Net]] = {"digits": digits, "digits_vit": transformer, "ic_resnet8": resnet}


def main() -> None:
    arguments = _arguments()
    rows = list[Row]()
    for net in (NETS[name]() for name in arguments.nets or NETS):
        for row in measured(net, arguments.bits, arguments.methods, arguments.group):
            print(row.line(), end="", flush=True)
            rows.append(row)
    if arguments.write:
        head = "| net | bits | method | weight bytes | logits, dB | same class | where sure | right |\n"
        table = head + "|---|---|---|---|---|---|---|---|\n" + "".join(row.line() for row in rows)
        PAGE.write_text(with_block(PAGE.read_text(), BEGIN, END, table))


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="*", help=f"of {', '.join(NETS)}")
    parser.add_argument("--bits", nargs="+", type=int, default=[4, 3, 2])
    parser.add_argument("--methods", nargs="+", default=["nearest", "awq", "learned", "auto"])
    parser.add_argument("--group", type=int)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    return parser.parse_args()


def measured(net: Net, bits: Sequence[int], methods: Sequence[str], group: int | None) -> Iterator[Row]:
    """int8, and then all methods for all bits."""
    proto = onnx.load(net.model)
    (name,) = (value.name for value in proto.graph.input)
    samples = [{name: each[None]} for each in net.judged]
    floats = _logits(proto, samples)
    whole: int | None = None
    large = list[str]()
    tried = [(8, "int8", False), *((number, method, False) for number in bits for method in methods)]
    tried += [(number, method, True) for number in bits for method in methods[-1:]]
    for number, method, mixed in tried:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.savez(Path(folder) / "calib.npz", **{name: net.calibration})
            given = dict.fromkeys(large, number) if mixed else number
            few = {} if number == 8 else {"weight_bits": given, "weight_method": method, "group": group}
            found = quantize(net.model, Path(folder) / "calib.npz", **few)
        ours, size = _logits(found.proto, samples), weight_bytes(found.proto, number)
        whole, large = (size, _large_layers(found.proto)) if whole is None else (whole, large)
        same, sure = ours.argmax(1) == floats.argmax(1), _probability(floats) >= SURE
        accuracy = None if net.labels is None else float(np.mean(ours.argmax(1) == net.labels))
        ratio = sqnr(floats, ours)
        yield Row(
            net.title,
            f"{number}, small layers 8" if mixed else str(number),
            method,
            size / whole,
            ratio,
            same.mean(),
            same[sure].mean(),
            accuracy,
        )


def _logits(proto: Any, samples: Sequence[dict[str, Array]]) -> Array:
    """(samples, classes): what the last Softmax reads; without one the output."""
    read = [node.input[0] for node in proto.graph.node if node.op_type == "Softmax"]
    last = proto.graph.node[-1].op_type in ("Softmax", "DequantizeLinear")
    name = read[-1] if read and last and _is_last(proto, read[-1]) else proto.graph.output[0].name
    return outputs_of(proto, [name], samples, {})[name].reshape(len(samples), -1)


def _is_last(proto: Any, logits: str) -> bool:
    """Whether nothing with weights follows a Softmax."""
    at = next(i for i, node in enumerate(proto.graph.node) if node.op_type == "Softmax" and node.input[0] == logits)
    return all(node.op_type not in ("Conv", "Gemm", "MatMul") for node in proto.graph.node[at:])


def _large_layers(proto: Any) -> list[str]:
    """The results of layers, not depthwise, that have a tenth of all weights or more."""
    sizes = {value.name: int(np.prod(value.dims)) for value in proto.graph.initializer}
    found = {name.removesuffix(_WEIGHTS): size for name, size in sizes.items() if name.endswith(_WEIGHTS)}
    return [name for name, size in found.items() if size >= _LARGE * sum(found.values())]


_WEIGHTS = "_weights_quantized"
_LARGE = 0.1


def weight_bytes(proto: Any, few: int) -> int:
    """Of all weights of layers, and their scales where these are more than one for a channel.

    Args:
        few: bits of the weights that ONNX stores as INT4 or INT2.
    """
    initializers = {value.name: value for value in proto.graph.initializer}
    made = {node.output[0]: node for node in proto.graph.node}
    total = 0
    for node in proto.graph.node:
        source = made.get(node.input[1]) if node.op_type in ("Conv", "Gemm", "MatMul") else None
        if source is not None and source.op_type == "DequantizeLinear" and source.input[0] in initializers:
            codes, scales = (initializers[name] for name in source.input[:2])
            bits = 8 if codes.data_type == onnx.TensorProto.INT8 else few
            total += -(-int(np.prod(codes.dims)) * bits // 8)
            total += -(-int(np.prod(scales.dims)) // 2) if len(scales.dims) > 1 else 0  # factors of 4 bits
    return total


def _probability(logits: Array) -> Array:
    """Of the class that a network chooses."""
    return 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)


if __name__ == "__main__":
    main()
