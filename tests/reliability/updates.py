"""How often new weights fit old code: `python -m tests.reliability.updates [--count N]`.

Two small networks, weights with noise of 0.1 %, 2 % and 10 %: each is quantised freely and for the code of the first
build, and compiled as far as the number of its code. Prints a line per retraining and the totals.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import tinycompile
from tests.conftest import DIGITS
from tests.support.onnx_builder import OnnxBuilder
from tinycompile.errors import IncompatibleError
from tinycompile.options import Options
from tinycompile.pipeline import lower_like
from tinycompile.predecessor import Predecessor
from tinycompile.quantize import Quantized, quantize
from tinycompile.quantize.measure import float_outputs
from tinycompile.quantize.pinned import pinned_parameters
from tinycompile.quantize.source import Calibration
from tinycompile.targets import load_board

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
    """(calibration, evaluation)."""
    with np.load(DIGITS / "digits_calib.npz") as data:
        np.savez(folder / "calib.npz", x=data["input_0"][:40])
        np.savez(folder / "eval.npz", x=data["x"], y=data["y"])
    return folder / "calib.npz", folder / "eval.npz"


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


def trial(old: Path, model: onnx.ModelProto, calib: Path, judged: Path, folder: Path) -> tuple[str, float]:
    """(why it isn't accepted, accuracy in points that the old code's scales cost)."""
    onnx.save(model, str(folder / "new.onnx"))
    pinned = pinned_parameters(Predecessor.read(old).source)
    free = quantize(folder / "new.onnx", calib, method=METHOD, evaluation=judged)
    kept = quantize(folder / "new.onnx", calib, evaluation=judged, pinned=pinned)
    assert free.accuracy is not None and kept.accuracy is not None
    return accepted(old, kept, folder), 100 * (free.accuracy.int8_value - kept.accuracy.int8_value)


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
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            calib, judged = samples(folder)
            onnx.save(make(), str(folder / "net.onnx"))
            old = folder / "old"
            tinycompile.compile(
                folder / "net.onnx",
                arguments.target,
                output=old,
                calib=calib,
                calib_method=METHOD,
                weights="separate",
            )
            results = list[tuple[str, float]]()
            start = time.monotonic()
            for label, model in retrainings(make(), arguments.count):
                results.append(trial(old, model, calib, judged, folder))
                print(make.__name__, label, f"{results[-1][1]:+.2f} points", results[-1][0] or "accepted", flush=True)
            good = sum(not reason for reason, _ in results)
            worst, mean = max(cost for _, cost in results), np.mean([cost for _, cost in results])
            seconds = time.monotonic() - start
            print(
                f"{make.__name__}: {good} of {len(results)} accepted; accuracy lost {mean:.2f} points on average, "
                f"{worst:.2f} at most; {seconds:.0f} s"
            )


if __name__ == "__main__":
    main()
