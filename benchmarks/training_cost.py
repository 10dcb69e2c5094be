"""What a training step costs: instructions of the forward and the backward pass by kernel, counted in QEMU.

    python -m benchmarks.training_cost [--board mps2-an500] [--network mobile|perceptron] [--train SCHEME] [--ram BYTES]

`mobile` is like MobileNetV2 at 128x128 (22.2 million MACs, 10 classes, random weights), of which the last 21 biases are
trained, and parts of five expansions, as in MCUNetV3's scheme of 49 kB. `perceptron` is 64-32-10, all of it trained.
Ends with status 1 where a state after the step isn't the interpreter's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from tinycompile.codegen.emit import emit_project
from tinycompile.codegen.program import Program, build_program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.dtypes import INT8, INT32
from tinycompile.interpreter import run
from tinycompile.ir import Array, Graph, Node, Op, Quantization, TensorType, verify
from tinycompile.layout import choose_ram
from tinycompile.ops.add import Add
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.mean import Mean
from tinycompile.options import Options
from tinycompile.passes.own_states import own_states
from tinycompile.plans import Plans
from tinycompile.profile.counter import count
from tinycompile.profile.layers import layers_of
from tinycompile.staging import write_files
from tinycompile.targets import Board, load_board
from tinycompile.toolchain import make
from tinycompile.training.scheme import read_scheme
from tinycompile.training.step import TrainingStep, training_step
from tinycompile.training.trainer import Trainer

PARTS = "b8_expand:0.25, b10_expand:0.5, b11_expand:0.25, b12_expand:0.25, b13_expand:0.25, biases:21"
SCHEMES = {"mobile": PARTS, "perceptron": "all"}
STAGES = ((16, 4, 3, 2, 2), (24, 4, 3, 2, 3), (40, 4, 5, 2, 3), (48, 4, 3, 1, 2), (96, 5, 5, 2, 2), (160, 5, 3, 1, 1))
"""Channels, expansion, window, stride of the first block, blocks."""


class Network:
    """Grows, and computes its values of one sample, so that no scale is far from what values fill."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._rng = np.random.default_rng(0)
        self._types = {"input": TensorType(shape, INT8, Quantization.per_tensor(2 / 255, 0))}
        self._constants: dict[str, Array] = {}
        self._nodes: list[Node] = []
        values = np.clip(np.rint(self._rng.normal(0, 40, shape)), -128, 127).astype(np.int8)
        self.sample, self._values = values, {"input": values}

    def node(self, name: str, op: Op, inputs: tuple[str, ...], quant: Quantization | None) -> str:
        ((shape, dtype),) = op.infer([self._types[n] for n in inputs])
        self._types[name] = TensorType(shape, dtype, quant)
        self._nodes.append(Node(name, op, inputs, (name,)))
        types = {n: self._types[n] for n in (*inputs, name)}
        constants = {n: self._constants[n] for n in inputs if n in self._constants}
        given = tuple(n for n in inputs if n not in constants)
        one = Graph("one", given, (name,), (self._nodes[-1],), types, constants)
        self._values[name] = run(one, {n: self._values[n] for n in given})[name]
        return name

    def linear(self, name: str, x: str, op: Op, shape: tuple[int, ...], axis: int, *, relu: bool) -> str:
        """With outputs up to 6 behind an activation, else within 4 of 0."""
        channels, taps = shape[axis], int(np.prod(shape)) // shape[axis]
        scale = (self._rng.uniform(1, 2, channels) / 32 / np.sqrt(taps)).astype(np.float32)
        self._types[f"{name}_w"] = TensorType(shape, INT8, Quantization(scale, np.zeros(channels, np.int64), axis))
        self._constants[f"{name}_w"] = np.clip(np.rint(self._rng.normal(0, 32, shape)), -127, 127).astype(np.int8)
        bias = np.rint(self._rng.normal(0, 0.2, channels) / (self._types[x].scale * scale)).astype(np.int32)
        self._types[f"{name}_b"] = TensorType((channels,), INT32)
        self._constants[f"{name}_b"] = bias
        quant = Quantization.per_tensor(6 / 255, -128) if relu else Quantization.per_tensor(8 / 255, 0)
        return self.node(name, op, (x, f"{name}_w", f"{name}_b"), quant)

    def convolution(self, name: str, x: str, channels: int, kernel: int = 1, stride: int = 1, *, relu: bool) -> str:
        op = Conv2D((stride, stride), (1, 1), self._padding(x, kernel, stride))
        return self.linear(name, x, op, (channels, kernel, kernel, self.shape(x)[3]), 0, relu=relu)

    def depthwise(self, name: str, x: str, kernel: int, stride: int) -> str:
        op = DepthwiseConv2D((stride, stride), (1, 1), self._padding(x, kernel, stride))
        return self.linear(name, x, op, (1, kernel, kernel, self.shape(x)[3]), 3, relu=True)

    def block(self, number: int, x: str, channels: int, expansion: int, kernel: int, stride: int) -> str:
        inputs = self.shape(x)[3]
        y = self.convolution(f"b{number}_expand", x, inputs * expansion, relu=True)
        y = self.depthwise(f"b{number}_dw", y, kernel, stride)
        y = self.convolution(f"b{number}_project", y, channels, relu=False)
        if stride > 1 or inputs != channels:
            return y
        return self.node(f"b{number}_add", Add(), (y, x), Quantization.per_tensor(11 / 255, 0))

    def shape(self, x: str) -> tuple[int, ...]:
        return self._types[x].shape

    def graph(self, output: str) -> Graph:
        graph = Graph("network", ("input",), (output,), tuple(self._nodes), self._types, self._constants)
        verify(graph)
        return graph

    def _padding(self, x: str, kernel: int, stride: int) -> tuple[int, int, int, int]:
        size = self.shape(x)[1]
        before, rest = divmod(max(0, (-(-size // stride) - 1) * stride + kernel - size), 2)
        return before, before + rest, before, before + rest


def mobile() -> tuple[Graph, Array]:
    network = Network((1, 128, 128, 3))
    x = network.convolution("stem", "input", 16, 3, 2, relu=True)
    x = network.convolution("b0_project", network.depthwise("b0_dw", x, 3, 1), 8, relu=False)
    number = 1
    for channels, expansion, kernel, stride, blocks in STAGES:
        for index in range(blocks):
            x = network.block(number, x, channels, expansion, kernel, 1 if index else stride)
            number += 1
    mean = network.node("mean", Mean((1, 2), keep_dims=False), (x,), Quantization.per_tensor(8 / 255, 0))
    head = network.linear("head", mean, FullyConnected(), (10, network.shape(mean)[1]), 0, relu=False)
    return network.graph(head), network.sample


def perceptron() -> tuple[Graph, Array]:
    network = Network((1, 64))
    hidden = network.linear("hidden", "input", FullyConnected(), (32, 64), 0, relu=True)
    head = network.linear("head", hidden, FullyConnected(), (10, 32), 0, relu=False)
    return network.graph(head), network.sample


def build(step: TrainingStep, board: Board, folder: Path, ram: int | None) -> Program:
    """Model `m`, whose firmware trains with class 0 where it would predict, and writes its states.

    Args:
        ram: limit for the arena in bytes, for which gradients may be computed again; None for what the board has.
    """
    plans = Plans(own_states(step.graph), board, Options(ram=ram))
    (planned,), layout = choose_ram(
        board,
        lambda schedule, limit, _: [plans.within(schedule, limit, None)],
        ram,
        schedule="layer" if ram is None else "auto",
        state_bytes=plans.state_bytes,
    )
    program = build_program("m", planned)
    write_files(folder, emit_project(Project(board, layout, (program,), (Provenance("a graph", "0" * 64),))))
    main = folder / "firmware" / "main.c"
    text = main.read_text("utf-8").replace("m_invoke(&context)", "m_train_step(&context, 0, 0)")
    text = text.replace("m_output_0(&context), M_OUTPUT_0_BYTES", "context.state, M_STATE_BYTES")
    main.write_text(text, "utf-8")
    make(folder, "all", toolchain=board.toolchain)
    return program


def counted(program: Program, board: Board, folder: Path, sample: Array) -> tuple[dict[int, int], bytes]:
    """Instructions of each layer, -1 for what is outside of them, and the states after the step."""
    stand_in = folder / "firmware_qemu.elf"
    elf = stand_in if stand_in.exists() else folder / "firmware.elf"
    outputs, emulated = [TensorType((program.state_bytes,), INT8)], board.emulated() or board
    made: Any = SimpleNamespace(emulated=emulated, board=emulated, outputs=outputs, report={"io_prefix": ""}, images=())
    found = count(made, elf, "m_train_step", [sample[None]], "m_infer")
    places = {pair: (pair.site or pair.block.end) - 2 for pair in found.pairs}
    layers, work = layers_of(elf, folder, "m", set(places.values()), board.toolchain), Counter[int]()
    for pair, place in places.items():
        work[layers.get(place, -1)] += pair.block.instructions * pair.count
    return work, found.execution.outputs[0][0].tobytes()


def show(program: Program, work: dict[int, int]) -> None:
    begin = next(i for i, layer in enumerate(program.layers) if layer.kernel.variant == "begin_backward")
    instructions, macs = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for index, layer in enumerate(program.layers):
        key = "forward" if index < begin else "backward", layer.kernel.variant
        instructions[key] += work.get(index, 0)
        macs[key] += layer.node.op.macs(program.graph.signature(layer.node))
    for key, number in instructions.most_common():
        each = f"{number / macs[key]:6.2f} for each of {macs[key]:,} MACs" if macs[key] else ""
        print(f"{key[0]:<9} {key[1]:<34} {number:>12,} {each}")
    for side in ("forward", "backward"):
        total = sum(number for key, number in instructions.items() if key[0] == side)
        print(f"{side:<9} {total:,} instructions, {sum(n for key, n in macs.items() if key[0] == side):,} MACs")
    print(f"step      {sum(work.values()):,} instructions; RAM {program.arena_bytes:,} + {program.state_bytes:,} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--board", default="mps2-an500")
    parser.add_argument("--network", choices=SCHEMES, default="mobile")
    parser.add_argument("--train")
    parser.add_argument("--ram", type=int)
    given = parser.parse_args()
    graph, sample = mobile() if given.network == "mobile" else perceptron()
    step = training_step(graph, read_scheme(cast(str, given.train or SCHEMES[given.network]), graph))
    board = load_board(given.board)
    with tempfile.TemporaryDirectory(prefix="training-cost-") as folder:
        program = build(step, board, Path(folder), given.ram)
        work, memory = counted(program, board, Path(folder), sample)
    show(program, work)
    trainer = Trainer(step)
    trainer.train(0, sample)
    for at in (state.tensor for state in program.states):
        found = np.frombuffer(memory, at.type.dtype.carrier, at.type.elements, at.offset).reshape(at.type.shape)
        if not np.array_equal(found, trainer.states[at.name]):
            print(f"{at.name} isn't the interpreter's")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
