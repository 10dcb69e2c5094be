"""Random networks with options drawn at random: what no test combines on purpose, against the framework itself.

`python -m tests.reliability.combinations --seeds 0 50 --kinds tflite onnx`
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import tinycompile
from tests.support.litert import Oracle
from tests.support.random_model import RandomModel
from tests.support.random_onnx_ranks import RandomOnnxRanks
from tests.support.random_ranks import RandomRanks
from tests.support.tflite_builder import SignatureSpec, SubgraphSpec, TfliteBuilder
from tinycompile.build import Build
from tinycompile.errors import TinycompileError, ToolFailedError
from tinycompile.ir import Array
from tinycompile.targets import load_board
from tinycompile.verify.compare import verify_build

TARGETS = (
    *("mps2-an500", "mps2-an386", "mps3-an547", "mps2-an505", "mps2-an385", "microbit"),
    *("stm32f746", "stm32h743", "nrf52840", "rp2040", "host"),
)
NEWER = (
    *("qemu-riscv32", "qemu-riscv32v", "esp32c3", "rp2350-riscv", "gd32vf103"),
    *("mps2-an521", "mps2-an521", "mps2-an505", "rp2350", "nrf5340", "rp2040", "stm32n6", "ra8d1"),
)
"""Drawn apart, so that a seed's other options stay: RISC-V, two cores, M33, M85."""
SAMPLES = 2


@dataclass
class Network:
    """A file, what it was made with, and inputs for it.

    Attributes:
        inputs: (SAMPLES, ...) for each of the file's inputs.
        expected: (SAMPLES, ...) for each output, by LiteRT.
        notes: what is unusual about it.
    """

    content: bytes
    inputs: list[Array]
    expected: list[Array]
    suffix: str = ".tflite"
    options: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def network(seed: int) -> Network:
    """A random network with some of what files of other tools have."""
    rng, notes = np.random.default_rng(seed + 7919), list[str]()
    builder, inputs, outputs = _grown(seed, rng)
    if rng.random() < 0.35:
        outputs = _roles(builder, inputs, outputs, rng)
        notes.append(f"outputs {outputs} of inputs {inputs}")
    if rng.random() < 0.3:
        inputs, outputs = _float_edges(builder, inputs, outputs, rng)
        notes.append("float edges")
    if rng.random() < 0.25:
        builder.outside = int(rng.choice([1, 16, 200]))
        notes.append(f"constants of {builder.outside} bytes behind the flatbuffer")
    for op in builder.ops:
        if op.code < 127 and rng.random() < 0.2:
            op.form = "newer"
    options = dict[str, Any]()
    if rng.random() < 0.25:
        options["signature"] = "chosen"
        content, read = _signed(builder, inputs, outputs, rng)
        notes.append(f"a signature of subgraph {read[1]}")
    else:
        content = read = builder.build(inputs, outputs)
    samples = [_samples(builder, index, rng) for index in inputs]
    expected = _expected(builder.build(inputs, outputs), samples)
    return Network(content, samples, expected, options=options, notes=notes)


def onnx_network(seed: int) -> Network:
    """Of onnxruntime, whose float sums may round to a neighbouring step."""
    rng, notes = np.random.default_rng(seed + 15485863), list[str]()
    made = RandomOnnxRanks(seed)
    made.build(int(rng.choice([1, 3, 6, 9])))
    b = made.builder
    if rng.random() < 0.4:
        inner = [v.name for v in made.values if v.name in made.read]
        taken = {info.name for info in b.outputs}
        floats = [t.name for t in b.initializers if t.data_type == onnx.TensorProto.FLOAT]
        for name in rng.choice([*inner, *floats], min(2, len(inner))):
            if str(name) not in taken:
                b.output(str(name))
                taken.add(str(name))
                notes.append(f"output {name}")
        rng.shuffle(b.outputs)  # pyright: ignore[reportArgumentType] - a list
    model = b.model()
    sizes = {v.name: (v.shape, v.size) for v in made.inputs}
    samples = [
        rng.uniform(-sizes[i.name][1], sizes[i.name][1], (SAMPLES, *sizes[i.name][0])).astype(np.float32)
        for i in b.inputs
    ]
    chosen = onnxruntime.SessionOptions()
    chosen.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), chosen)
    runs = [
        session.run(None, {i.name: np.asarray(x[n]) for i, x in zip(b.inputs, samples, strict=True)})
        for n in range(SAMPLES)
    ]
    expected = [np.stack([np.asarray(run[i]) for run in runs]) for i in range(len(b.outputs))]
    options: dict[str, Any] = {"layout": "nhwc"} if rng.random() < 0.3 else {}
    return Network(model.SerializeToString(), samples, expected, ".onnx", options, notes)


NETWORKS = {"tflite": network, "onnx": onnx_network}


def _grown(seed: int, rng: np.random.Generator) -> tuple[TfliteBuilder, list[int], list[int]]:
    if rng.random() < 0.5:
        model = RandomModel(seed)
        model.build(layers=int(rng.integers(1, 7)))
        return model.builder, [0], [len(model.builder.tensors) - 1]
    ranks = RandomRanks(seed)
    ranks.build(int(rng.choice([1, 3, 6, 9])))
    outputs = [v.index for v in ranks.values if v.index not in ranks.read and v not in ranks.inputs]
    return ranks.builder, [v.index for v in ranks.inputs], outputs


def _roles(b: TfliteBuilder, inputs: list[int], outputs: list[int], rng: np.random.Generator) -> list[int]:
    """Outputs that are inputs, inner tensors, constants, or listed twice."""
    inner = [index for op in b.ops for index in op.outputs]
    constants = [i for i, t in enumerate(b.tensors) if t.data is not None]
    choices = [*inputs, *outputs, int(rng.choice(inner)), *([int(rng.choice(constants))] if constants else [])]
    more = [int(i) for i in rng.choice(choices, int(rng.integers(1, 4)))]
    result = [*outputs, *more]
    rng.shuffle(result)
    return [int(i) for i in result]


def _float_edges(
    b: TfliteBuilder, inputs: list[int], outputs: list[int], rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """QUANTIZE behind some inputs, DEQUANTIZE before some outputs."""
    first, last = list[int](), list[int]()
    for index in inputs:
        if rng.random() < 0.8:
            edge = b.tensor(b.tensors[index].shape, dtype="float32")
            b.ops.insert(0, b.op("QUANTIZE", [edge], [index]))
            b.ops.pop()
            first.append(edge)
        else:
            first.append(index)
    for index in outputs:
        if b.tensors[index].scale is not None and b.tensors[index].dtype == 9 and rng.random() < 0.8:
            edge = b.tensor(b.tensors[index].shape, dtype="float32")
            b.op("DEQUANTIZE", [index], [edge])
            last.append(edge)
        else:
            last.append(index)
    return first, last


def _signed(
    b: TfliteBuilder, inputs: list[int], outputs: list[int], rng: np.random.Generator
) -> tuple[bytes, tuple[str, int]]:
    """The network as one of two subgraphs, which a signature names."""
    other = TfliteBuilder()
    x, y = other.tensor((1, 4), 0.5, 3), other.tensor((1, 4), 0.5, 3)
    other.op("RELU", [x], [y])
    places = {f"in{i}": index for i, index in enumerate(inputs)}, {f"out{i}": index for i, index in enumerate(outputs)}
    if rng.random() < 0.5:
        b.others, b.signatures = [SubgraphSpec(other, [x], [y])], [SignatureSpec("chosen", *places, subgraph=0)]
        content = b.build(inputs, outputs)
        b.others, b.signatures = [], []
        return content, ("chosen", 0)
    other.outside = b.outside
    other.others, other.signatures = [SubgraphSpec(b, inputs, outputs)], [SignatureSpec("chosen", *places, subgraph=1)]
    return other.build([x], [y]), ("chosen", 1)


def _samples(b: TfliteBuilder, index: int, rng: np.random.Generator) -> Array:
    spec = b.tensors[index]
    if spec.scale is None:
        return rng.normal(0, 4, (SAMPLES, *spec.shape)).astype(np.float32)
    return rng.integers(-128, 128, (SAMPLES, *spec.shape)).astype(np.int8)


def _expected(content: bytes, samples: list[Array]) -> list[Array]:
    oracle = Oracle(content)
    wanted = [detail["index"] for detail in oracle.interpreter.get_output_details()]
    runs = [oracle.run([array[i] for array in samples]) for i in range(SAMPLES)]
    details = oracle.interpreter.get_tensor_details()
    empty = {index: np.zeros(details[index]["shape"], details[index]["dtype"]) for index in wanted}
    return [np.stack([(empty | tensors)[index] for tensors in runs]) for index in wanted]


def options(seed: int) -> dict[str, Any]:
    """Of a build."""
    rng = np.random.default_rng(seed + 104729)

    def some(chance: float, **values: Any) -> dict[str, Any]:
        return values if rng.random() < chance else {}

    result: dict[str, Any] = {"target": str(rng.choice(TARGETS))}
    result |= some(0.5, schedule=str(rng.choice(["layer", "stream", "patch"])))
    result |= some(0.5, optimize=str(rng.choice(["speed", "size", "ram"])))
    result |= some(0.4, weights="separate")
    if "weights" in result:
        result |= some(0.4, updatable=True)
    if result["target"] != "host":
        result |= some(0.4, align="strict")
        result |= some(0.3, flash_offset=int(rng.choice([4096, 32768, 65536])))
    result |= some(0.2, single_file=True)
    result |= some(0.15, input_stream="rows")
    result |= some(0.15, ram=int(rng.choice([2000, 5000, 20000])))
    later = np.random.default_rng(seed + 217645199)
    if later.random() < 0.5:
        result["target"] = str(later.choice(NEWER))
        result.pop("flash_offset", None)
        if load_board(result["target"]).cores > 1 and later.random() < 0.8:
            result["cores"] = 2
            for other in ("input_stream", "schedule", "weights", "updatable"):
                result.pop(other, None)
    return result


def check(kind: str, seed: int, folder: Path, emulate: bool) -> str:
    """What became of one seed: "agrees", or the reason that its build was refused with.

    Raises:
        AssertionError: another result than LiteRT's.
    """
    net, chosen = NETWORKS[kind](seed), options(seed)
    print(f"{seed}: {chosen} {net.options} {net.notes}", flush=True)
    path = folder / f"net{net.suffix}"
    path.write_bytes(net.content)
    try:
        build = tinycompile.compile(path, output=folder / "out", **chosen, **net.options)
    except ToolFailedError:
        raise  # code that doesn't compile is no reason
    except TinycompileError as error:
        return f"refused: {type(error).__name__}: {error}"
    _compare(build, net, "host")
    if emulate and not build.board.is_host and build.board.emulated() is not None:
        _compare(build, net, "qemu")
    if emulate or build.board.is_host:
        given = [_arranged(x, t.shape) for x, t in zip(net.inputs, build.inputs, strict=True)]
        outcome = verify_build(build, given)
        assert outcome.difference is None, outcome.difference.describe()
    _build_again(build, path, chosen | net.options)
    return "agrees"


def _arranged(array: Array, shape: tuple[int, ...]) -> Array:
    """Samples of the file's layout in that of a build."""
    if array.ndim == 5 and array.shape[1:] != shape:
        array = array.transpose(0, 1, 3, 4, 2)
    return array.reshape(len(array), *shape)


def _compare(build: Build, net: Network, on: str) -> None:
    nhwc = net.options.get("layout") == "nhwc"
    given = [x.transpose(0, 1, 3, 4, 2) if nhwc and x.ndim == 5 else x for x in net.inputs]
    got = build.run(*given, on=on)
    arrays = got if isinstance(got, list) else [got]
    for i, (expected, array) in enumerate(zip(net.expected, arrays, strict=True)):
        if nhwc and expected.ndim == 5:
            expected = expected.transpose(0, 1, 3, 4, 2)
        assert array.dtype == expected.dtype, f"output {i} on {on}: {array.dtype}, not {expected.dtype}"
        found = array.reshape(expected.shape)
        if net.suffix == ".tflite":
            wrong = found != expected
        else:
            wrong = (
                np.abs(found - expected) > 0.02 * np.abs(expected).max(initial=1e-3) + build.outputs[i].scale * 1.01
                if build.outputs[i].quant
                else np.abs(found - expected) > 0.1 * np.abs(expected).max(initial=1e-3)
            )
        assert not np.any(wrong), f"output {i} on {on}: {np.count_nonzero(wrong)} of {wrong.size} differ"


def _build_again(build: Build, path: Path, chosen: dict[str, Any]) -> None:
    """The same into the same folder; with separate weights also as an update of it, which must be accepted."""
    if chosen.get("weights") == "separate":
        update = tinycompile.compile(path, output=path.parent / "update", compatible_with=build.folder, **chosen)
        assert update.weights is not None and build.weights is not None
        assert update.weights.read_bytes() == build.weights.read_bytes(), "an update with the same weights differs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 50), metavar=("FIRST", "END"))
    parser.add_argument("--kinds", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--no-qemu", action="store_true", help="run the C on this machine only")
    arguments = parser.parse_args()
    failed, outcomes = list[str](), Counter[str]()
    for kind, seed in ((kind, seed) for kind in arguments.kinds for seed in range(*arguments.seeds)):
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome = check(kind, seed, Path(folder), not arguments.no_qemu)
                outcomes[outcome.split("\n")[0]] += 1
                print(f"{kind} {seed}: {outcome}", flush=True)
            except Exception:
                failed.append(f"{kind} {seed}")
                print(f"{kind} {seed}: FAILED\n{traceback.format_exc()[-2500:]}", flush=True)
    for outcome, count in outcomes.most_common():
        print(f"{count:5} {outcome}")
    print(f"failed: {failed}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
