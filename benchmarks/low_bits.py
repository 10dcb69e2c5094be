"""`python -m benchmarks.low_bits [BOARD ...]`: what weights of fewer than 8 bits cost, kernel by kernel.

Executed instructions in QEMU of single layers with random weights, by the fastest kernel for each number of bits, what the
kernel says of itself, and its bytes. All layers of a board are one firmware. Prints a table for docs/low_bit.md.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.ops.samples import blockwise
from tests.support.host_kernel import memory_of, program
from tests.support.kernel_checks import int8, random_values, site_of
from tinycompile.codegen.linker import linker_script
from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Node, Op, Quantization, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Kernel
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.resources import boards_dir, runtime_dir
from tinycompile.targets import Board, load_board

BOARDS = ("mps2-an386", "mps2-an500", "mps2-an385", "mps3-an547")
BITS = (8, 4, 3, 2)

MAIN = """
#include <stdint.h>
#include "board.h"
#include "semihosting.h"
{arrays}
int main(void)
{{
    board_init();
    const int file = semihosting_open_write("output.bin");
    uint32_t before, between, ticks;
{calls}
    semihosting_close(file);
    return 0;
}}
"""

CALL = """
    before = board_ticks();
    between = board_ticks();
    run_{index}(arguments_{index});
    ticks = board_ticks() - between - (between - before);
    if (!semihosting_write(file, &ticks, 4u)) return 1;
"""


@dataclass(frozen=True)
class Layer:
    """Shapes of a layer as its operator has them."""

    name: str
    op: Op
    image: tuple[int, ...]
    weights: tuple[int, ...]

    def site(self, bits: int) -> Site:
        """With weights of so many bits."""
        rng, axis = np.random.default_rng(1), 3 if isinstance(self.op, DepthwiseConv2D) else 0
        channels = self.weights[axis]
        scales = rng.uniform(0.001, 0.01, channels).astype(np.float32) * (128 >> bits - 1)
        kind = TensorType(self.weights, INT8, Quantization(scales, np.zeros(channels, np.int64), axis))
        low, high = max(-127, -(1 << bits - 1)), 1 << bits - 1
        constants = [None, rng.integers(low, high, self.weights).astype(np.int8), rng.integers(-300, 300, channels)]
        constants[2] = constants[2].astype(np.int32)
        taps = int(np.prod(self.weights)) // channels
        types = [int8(self.image, 0.1, 3), kind, TensorType((channels,), INT32)]
        return site_of(self.op, types, constants, int8((), 0.05 * taps**0.5, 5))


@dataclass(frozen=True)
class BlockwiseLayer(Layer):
    """With a factor for each block of 32 inputs; `op` is of no matter.

    Attributes:
        wide: factors have 31 bits, and sums 63.
    """

    wide: bool = False

    def site(self, bits: int) -> Site:
        """With weights of so many bits."""
        outputs, inputs = self.weights
        found = blockwise(np.random.default_rng(1), (1, inputs), outputs, 32, wide=self.wide)
        low, high = -(1 << bits - 1), (1 << bits - 1) - 1
        constants = (None, np.clip(found.constants[1], low, high), found.constants[2])
        return Site(Node("layer", found.op, ("x", "w", "f"), ("y",)), found.sig, constants)


LAYERS = (
    Layer("3x3, 8x8x64 to 64", Conv2D(padding=(1, 1, 1, 1)), (1, 8, 8, 64), (64, 3, 3, 64)),
    Layer("1x1, 12x12x64 to 128", Conv2D(), (1, 12, 12, 64), (128, 1, 1, 64)),
    Layer("1x1, 3x3x256 to 256", Conv2D(), (1, 3, 3, 256), (256, 1, 1, 256)),
    Layer("640 to 128", FullyConnected(), (1, 640), (128, 640)),
    Layer("256 to 64", FullyConnected(), (1, 256), (64, 256)),
    Layer("64 to 10", FullyConnected(), (1, 64), (10, 64)),
    Layer("2048 to 64", FullyConnected(), (1, 2048), (64, 2048)),
    BlockwiseLayer("640 to 128 by blocks of 32, small factors", FullyConnected(), (1, 640), (128, 640)),
    BlockwiseLayer("640 to 128 by blocks of 32, factors of 31 bits", FullyConnected(), (1, 640), (128, 640), wide=True),
    Layer("depthwise 3x3, 12x12x64", DepthwiseConv2D(padding=(1, 1, 1, 1)), (1, 12, 12, 64), (1, 3, 3, 64)),
)


def fastest(layer: Layer, bits: int, board: Board) -> Kernel | None:
    """Of those that store weights with so many bits; None where there is none."""
    found = kernels_of(layer.site(bits), board.core)
    packed = [k for k in found if k.notes.get("weights", "").startswith(f"{bits} bits") or bits == 8]
    return min(packed, key=lambda kernel: kernel.price, default=None)


def measured(board: Board, runs: Sequence[tuple[Site, Kernel]]) -> list[int]:
    """Instructions of each."""
    if board.qemu is None:
        raise ValueError(f"{board.name} isn't emulated")
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(1)
        arrays, calls = list[str](), list[str]()
        for index, (site, kernel) in enumerate(runs):
            (folder / f"case{index}.c").write_text(program(kernel, f"run_{index}"))
            blocks = memory_of(kernel, {0: random_values(site.sig.input, rng)}, site.sig.output, None)
            arrays.append(f"void run_{index}(void *const *arguments);")
            places = dict[int, str]()
            for i, block in enumerate(blocks):
                words = np.frombuffer(block.content.ljust(-(-len(block.content) // 8) * 8, b"\0"), np.uint64)
                arrays.append(f"static uint64_t block_{index}_{i}[] = {{{', '.join(map(hex, map(int, words)))}}};")
                places |= {arg: f"(uint8_t *)block_{index}_{i} + {at}" for arg, at in block.arguments}
            listed = ", ".join(places[i] for i in sorted(places))
            arrays.append(f"static void *const arguments_{index}[] = {{{listed}}};")
            calls.append(CALL.format(index=index))
        (folder / "main.c").write_text(MAIN.format(arrays="\n".join(arrays), calls="".join(calls)))
        (folder / "board.ld").write_text(linker_script(board, board))
        common = boards_dir() / "common"
        sources = [*folder.glob("*.c"), common / "startup.c", common / "semihosting.c", *board.sources]
        command = ["arm-none-eabi-gcc", "-std=c99", "-O2", *board.cflags, *(f"-D{d}" for d in board.defines)]
        command += [f"-I{runtime_dir()}", f"-I{common}", "-nostartfiles", "-Wl,--defsym=linker_stack_bytes=4096"]
        command += ["--specs=nosys.specs", "--specs=nano.specs", "-T", "board.ld", *map(str, sources), "-lm"]
        subprocess.run([*command, "-o", "layers.elf"], cwd=folder, check=True)
        command = ["qemu-system-arm", "-machine", board.qemu.machine, "-nographic", "-monitor", "none", "-serial"]
        command += ["none", "-semihosting-config", "enable=on,target=native", "-kernel", "layers.elf"]
        subprocess.run([*command, "-icount", f"shift={board.qemu.icount_shift}"], cwd=folder, check=True)
        return [board.qemu.instructions(int(ticks)) for ticks in np.fromfile(folder / "output.bin", np.uint32)]


def rows(name: str, only: str) -> Iterator[str]:
    """Of the table for a board."""
    board = load_board(name)
    chosen = [
        (layer, bits, kernel)
        for layer in LAYERS
        if only in layer.name
        for bits in BITS
        if (kernel := fastest(layer, bits, board)) is not None
    ]
    counts = measured(board, [(layer.site(bits), kernel) for layer, bits, kernel in chosen])
    plain = 0
    for (layer, bits, kernel), count in zip(chosen, counts, strict=True):
        plain = count if bits == 8 else plain
        size = f"{kernel.constant_bytes:,} | {kernel.scratch_bytes:,}"
        kind = f"{count / plain:.2f} | {kernel.instructions / count:.3f}"
        yield f"| {name} | {layer.name} | {bits} | {kernel.variant} | {count:,} | {kind} | {size} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("boards", nargs="*", default=BOARDS)
    parser.add_argument("--only", default="", help="part of a layer's name")
    given = parser.parse_args()
    print("| board | layer | bits | kernel | instructions | over 8 bits | estimate / measured | bytes | scratch |")
    print("|---|---|--:|---|--:|--:|--:|--:|--:|")
    for name in given.boards:
        print("\n".join(rows(name, given.only)), flush=True)


if __name__ == "__main__":
    main()
