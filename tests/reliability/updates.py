"""How often new weights fit old code: `python -m tests.reliability.updates [--count N]`.

Two small networks, weights with noise of 0.1 %, 2 % and 10 %: each is quantised freely and for the code of the first
build, and compiled as far as the number of its code. Prints a line per retraining and the totals. Accuracy is measured
on the 382 labelled digits, where one more mistake is 0.26 points, and on these with two blurred copies of each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import tinycompile
from tests.conftest import DIGITS
from tests.support.onnx_builder import OnnxBuilder
from tinycompile import interpreter
from tinycompile.errors import IncompatibleError
from tinycompile.frontend.onnx import import_model
from tinycompile.frontend.onnx_file import static_model
from tinycompile.lowering import lower_like
from tinycompile.model_source import Calibration
from tinycompile.options import Options
from tinycompile.predecessor import Predecessor
from tinycompile.quantize import Quantized, quantize
from tinycompile.quantize.measure import float_outputs
from tinycompile.quantize.pinned import pinned_parameters
from tinycompile.targets import load_board

BAR = 0.5
"""Points that a retraining for old code may be worse than a free one."""
NOISE = (0.001, 0.02, 0.1)
METHOD = "mse"
"""Of ranges, in the first build and in the free ones: a third of the time of trying all."""


def digits() -> onnx.ModelProto:
    return onnx.load(DIGITS / "digits.onnx")


def features(seed: int = 0) -> onnx.ModelProto:
    """Random convolutions, batch normalisation, a depthwise branch, HardSwish and a sum; the head by least squares."""
    model = _features(np.random.default_rng(seed), np.zeros((10, 256), np.float32), np.zeros(10, np.float32))
    with np.load(DIGITS / "digits_calib.npz") as data:
        x, y = data["x"], data["y"]
    inner = onnx.ModelProto.FromString(model.SerializeToString())
    inner.graph.output[0].name = next(n.output[0] for n in model.graph.node if n.op_type == "Flatten")
    hidden = float_outputs(inner, [{"x": image[None]} for image in x])[0].reshape(len(x), -1).astype(np.float64)
    target = np.eye(10)[y] * 4 - 2
    head = np.linalg.solve(hidden.T @ hidden + 20 * np.eye(hidden.shape[1]), hidden.T @ target)
    return _features(np.random.default_rng(seed), head.T.astype(np.float32), np.zeros(10, np.float32))


def _features(rng: np.random.Generator, head: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    b = OnnxBuilder()

    def weights(*shape: int) -> str:
        return b.constant(rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape), np.float32)

    x = b.node("Transpose", b.input((1, 8, 8, 1)), perm=[0, 3, 1, 2])
    y = b.node("Conv", x, weights(16, 1, 3, 3), weights(16), pads=[1, 1, 1, 1])
    statistics = [b.constant(rng.uniform(0.5, 1.5, 16), np.float32) for _ in range(4)]
    y = b.node("Relu", b.node("BatchNormalization", y, *statistics))
    z = b.node("HardSwish", b.node("Conv", y, weights(16, 1, 3, 3), weights(16), pads=[1, 1, 1, 1], group=16))
    y = b.node("MaxPool", b.node("Add", y, z), kernel_shape=[2, 2], strides=[2, 2])
    y = b.node("Relu", b.node("Conv", y, weights(16, 16, 1, 1), weights(16)))
    y = b.node("Flatten", y)
    b.output(b.node("Gemm", y, b.constant(head, np.float32), b.constant(bias, np.float32), transB=1))
    return b.model()


def noisy(model: onnx.ModelProto, amount: float, rng: np.random.Generator) -> onnx.ModelProto:
    """Every weight times 1 + amount * a normal number."""
    clone = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in clone.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.size > 1:
            changed = value * (1 + amount * rng.normal(size=value.shape))
            tensor.CopyFrom(numpy_helper.from_array(changed.astype(np.float32), tensor.name))
    return clone


def retrainings(model: onnx.ModelProto, count: int) -> Iterator[tuple[str, onnx.ModelProto]]:
    for seed in range(count):
        for amount in NOISE:
            yield f"{amount:.1%}", noisy(model, amount, np.random.default_rng(seed))


def samples(folder: Path) -> tuple[Path, Path]:
    """(calibration, evaluation); the evaluation's first third are the real digits."""
    rng = np.random.default_rng(0)
    with np.load(DIGITS / "digits_calib.npz") as data:
        x, y = data["x"], data["y"]
        np.savez(folder / "calib.npz", x=data["input_0"][:40])
    copies = [x] + [np.clip(x * rng.uniform(0.85, 1, len(x))[:, None, None, None], 0, 1) for _ in range(COPIES)]
    copies[1:] = [np.clip(copy + rng.normal(0, 0.03, copy.shape), 0, 1).astype(x.dtype) for copy in copies[1:]]
    np.savez(folder / "eval.npz", x=np.concatenate(copies), y=np.tile(y, len(copies)))
    return folder / "calib.npz", folder / "eval.npz"


COPIES = 2
"""Of each digit, darker and noisier."""


def accepted(old: Path, quantized: Quantized, folder: Path) -> str:
    """Empty, or why not."""
    predecessor = Predecessor.read(old)
    options = predecessor.options(Options(weights="separate", calibration=Calibration()))
    onnx.save(quantized.proto, str(folder / "qdq.onnx"))
    try:
        lower_like(predecessor, [folder / "qdq.onnx"], load_board(options.target), options)
    except IncompatibleError as error:
        return str(error).replace("\n", " ")
    return ""


@dataclass(frozen=True)
class Outcome:
    """Of a retraining: why it isn't accepted, and the points of accuracy that the old code's scales cost.

    Attributes:
        cost: on the real digits. wide: with the copies.
    """

    reason: str
    cost: float
    wide: float


def trial(old: Path, model: onnx.ModelProto, calib: Path, judged: Path, folder: Path) -> Outcome:
    onnx.save(model, str(folder / "new.onnx"))
    pinned = pinned_parameters(Predecessor.read(old).source)
    free = quantize(folder / "new.onnx", calib, method=METHOD)
    kept = quantize(folder / "new.onnx", calib, pinned=pinned)
    right = [hits(quantized.proto, judged) for quantized in (free, kept)]
    lost = 100 * (right[0].astype(float) - right[1])
    return Outcome(accepted(old, kept, folder), lost[: len(lost) // (1 + COPIES)].mean(), lost.mean())


def hits(model: onnx.ModelProto, judged: Path) -> np.ndarray:
    """Whether each sample's class is found."""
    graph = import_model(static_model(model, "qdq"), "qdq", "qdq")
    with np.load(judged) as data:
        x, y = data["x"], data["y"]
    scores = [interpreter.run(graph, [image.reshape(graph.types[graph.inputs[0]].shape)]) for image in x]
    return np.array([values[graph.outputs[0]].argmax() for values in scores]) == y


def measured(make: Callable[[], onnx.ModelProto], count: int, target: str, folder: Path) -> list[Outcome]:
    """All retrainings of a network."""
    calib, judged = samples(folder)
    onnx.save(make(), str(folder / "net.onnx"))
    old = folder / "old"
    tinycompile.compile(folder / "net.onnx", target, output=old, calib=calib, calib_method=METHOD, weights="separate")
    found = list[Outcome]()
    for label, model in retrainings(make(), count):
        found.append(trial(old, model, calib, judged, folder))
        last = found[-1]
        text = f"{last.cost:+.2f} points, {last.wide:+.2f} with copies; {last.reason or 'accepted'}"
        print(make.__name__, label, text, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="retrainings of each noise")
    parser.add_argument("--target", default="stm32f746")
    parser.add_argument("--network", choices=("digits", "features"), action="append")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for make in (digits, features):
        if arguments.network and make.__name__ not in arguments.network:
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as name:
            found = measured(make, arguments.count, arguments.target, Path(name))
        good = sum(not each.reason for each in found)
        print(f"{make.__name__}: {good} of {len(found)} accepted; {time.monotonic() - start:.0f} s")
        for label, costs in (("digits", [e.cost for e in found]), ("with copies", [e.wide for e in found])):
            over = sum(cost > BAR for cost in costs)
            print(
                f"  {label}: {np.mean(costs):+.2f} points lost on average, {max(costs):+.2f} at most, {over} over {BAR}"
            )


if __name__ == "__main__":
    main()
