"""What weights of few bits cost float models, by bits and method: the table of docs/low_bit.md.

    python -m benchmarks.low_bit_accuracy [NET ...] [--bits 4 3 2] [--methods nearest awq learned auto] [--write]
    python -m benchmarks.low_bit_accuracy [NET ...] --chosen 50 35 --write
    python -m benchmarks.low_bit_accuracy [NET ...] --pruned 50 35 --write

The second form has a table of its own: the bits of each layer chosen for that many percent of the weights' bytes, by the
calibration samples alone. So has the third: channels removed, bits chosen, and both in one choice, each as it is.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.generated_images import generated_images
from benchmarks.pages import with_block
from tinycompile.mixed_precision.automatic import Budget, Chooser, Freedom, automatic
from tinycompile.mixed_precision.choice import Alternative
from tinycompile.quantize import quantize
from tinycompile.quantize.execution import outputs_of
from tinycompile.quantize.measure import sqnr

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "low_bit.md"
BEGIN, END = "<!-- methods: python -m benchmarks.low_bit_accuracy --write -->\n", "<!-- end of methods -->"
CHOSEN_BEGIN = "<!-- chosen: python -m benchmarks.low_bit_accuracy --chosen 50 35 --write -->\n"
CHOSEN_END = "<!-- end of chosen -->"
PRUNED_BEGIN = "<!-- pruned: python -m benchmarks.low_bit_accuracy digits ic_resnet8 --pruned 50 35 --write -->\n"
PRUNED_END = "<!-- end of pruned -->"
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
        found = (
            chosen(net, arguments.chosen)
            if arguments.chosen
            else pruned(net, arguments.pruned)
            if arguments.pruned
            else measured(net, arguments.bits, arguments.methods, arguments.group)
        )
        for row in found:
            print(row.line(), end="", flush=True)
            rows.append(row)
    if arguments.write:
        head = "| net | bits | method | weight bytes | logits, dB | same class | where sure | right |\n"
        table = head + "|---|---|---|---|---|---|---|---|\n" + "".join(row.line() for row in rows)
        marks = (CHOSEN_BEGIN, CHOSEN_END) if arguments.chosen else (BEGIN, END)
        marks = (PRUNED_BEGIN, PRUNED_END) if arguments.pruned else marks
        PAGE.write_text(with_block(PAGE.read_text(), *marks, table))


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="*", help=f"of {', '.join(NETS)}")
    parser.add_argument("--bits", nargs="+", type=int, default=[4, 3, 2])
    parser.add_argument("--methods", nargs="+", default=["nearest", "awq", "learned", "auto"])
    parser.add_argument("--group", type=int)
    parser.add_argument("--chosen", nargs="+", type=int, help="percent of the weights' bytes")
    parser.add_argument("--pruned", nargs="+", type=int, help="the same, with channels removed")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    return parser.parse_args()


def measured(net: Net, bits: Sequence[int], methods: Sequence[str], group: int | None) -> Iterator[Row]:
    """int8, and then all methods for all bits."""
    judge = Judge(net)
    whole: int | None = None
    large = list[str]()
    tried = [(8, "int8", False), *((number, method, False) for number in bits for method in methods)]
    tried += [(number, method, True) for number in bits for method in methods[-1:]]
    for number, method, mixed in tried:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.savez(Path(folder) / "calib.npz", **{judge.name: net.calibration})
            given = dict.fromkeys(large, number) if mixed else number
            few = {} if number == 8 else {"weight_bits": given, "weight_method": method, "group": group}
            found = quantize(net.model, Path(folder) / "calib.npz", **few)
        size = weight_bytes(found.proto)
        whole, large = (size, _large_layers(found.proto)) if whole is None else (whole, large)
        yield judge.row(found.proto, f"{number}, small layers 8" if mixed else str(number), method, size / whole)


def chosen(net: Net, percents: Sequence[int]) -> Iterator[Row]:
    """Bits chosen within so many percent of the weights' bytes."""
    judge, path = Judge(net), net.model
    for percent in percents:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.savez(Path(folder) / "calib.npz", **{judge.name: net.calibration})
            found = automatic(path, Path(folder) / "calib.npz", Budget(weight_part=percent / 100))
        proto = onnx.load_from_string(found.content)
        count = sum(int(np.prod(codes.dims)) for codes, _ in _coded(proto))
        yield judge.row(proto, _counted(found.fit.choice.chosen), "chosen", weight_bytes(proto) / count)


def pruned(net: Net, percents: Sequence[int]) -> Iterator[Row]:
    """Channels alone, bits alone, and both, each within so many percent of the weights' bytes; nothing is compared."""
    judge = Judge(net)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calib = Path(folder) / "calib.npz"
        np.savez(calib, **{judge.name: net.calibration})
        ways = {"bits": Freedom(), "channels": Freedom(few_bits=False, prune=True), "both": Freedom(prune=True)}
        for way, freedom in ways.items():
            chooser = Chooser.of(net.model, calib, "stm32f746", None, "onnx", freedom, with_code=False)
            search = chooser.search
            for percent in percents:
                choice = search.choice(search.bytes_with(percent / 100))
                proto = onnx.load_from_string(search.fit(choice).fitted.written().content)
                gone = sum(width - kept for kept, width in search.kept(choice).values())
                described = f"{_counted(choice.chosen)}{f', {gone} channels removed' if gone else ''}"
                yield judge.row(proto, described, way, search.part_with(search.size(choice)))


def _counted(layers: Mapping[str, Alternative]) -> str:
    """How many layers have how many bits."""
    bits = [each.bits for each in layers.values()]
    return ", ".join(f"{bits.count(number)} x {number}" for number in (8, 4, 3, 2) if number in bits)


class Judge:
    """A net's float logits of its judged samples, and rows of what others make of these.

    Attributes:
        name: of the net's input.
    """

    def __init__(self, net: Net) -> None:
        proto = onnx.load(net.model)
        (self.name,) = (value.name for value in proto.graph.input)
        self._net, self._samples = net, [{self.name: each[None]} for each in net.judged]
        self._floats = _logits(proto, self._samples)

    def row(self, proto: Any, bits: str, method: str, part: float) -> Row:
        """Args: part: of int8's weight bytes."""
        ours, floats, labels = _logits(proto, self._samples), self._floats, self._net.labels
        same, sure = ours.argmax(1) == floats.argmax(1), _probability(floats) >= SURE
        right = None if labels is None else float(np.mean(ours.argmax(1) == labels))
        return Row(self._net.title, bits, method, part, sqnr(floats, ours), same.mean(), same[sure].mean(), right)


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


def weight_bytes(proto: Any) -> int:
    """Of all weights of layers, in as many bits as hold a layer's codes, and their scales if not one for each channel."""
    total = 0
    for codes, scales in _coded(proto):
        values = onnx.numpy_helper.to_array(codes).astype(np.int64)
        low, high = int(values.min()), int(values.max())
        bits = next(n for n in (2, 3, 4, 8) if low >= -(1 << n - 1) and high < 1 << n - 1)
        total += -(-values.size * bits // 8)
        total += -(-int(np.prod(scales.dims)) // 2) if len(scales.dims) > 1 else 0  # factors of 4 bits
    return total


def _coded(proto: Any) -> Iterator[tuple[Any, Any]]:
    """(codes, scales) of all layers, as TensorProto."""
    initializers = {value.name: value for value in proto.graph.initializer}
    made = {node.output[0]: node for node in proto.graph.node}
    for node in proto.graph.node:
        source = made.get(node.input[1]) if node.op_type in ("Conv", "Gemm", "MatMul") else None
        if source is not None and source.op_type == "DequantizeLinear" and source.input[0] in initializers:
            yield initializers[source.input[0]], initializers[source.input[1]]


def _probability(logits: Array) -> Array:
    """Of the class that a network chooses."""
    return 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)


if __name__ == "__main__":
    main()
