"""Proofs that are broken on purpose: a wrong threshold, an overlap that is one byte short. Both are seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.planner.test_poison import random_inputs, run_poisoned
from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Graph, Node, Op, Quantization, TensorType
from tinycompile.kernels import kernels_for
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.numerics.requant_plan import prove
from tinycompile.numerics.requant_solver import solve
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.planner import Planned, plan
from tinycompile.targets import load_board

CHANNELS = 6
QUANT = Quantization.per_tensor(0.05, 3)


@dataclass(frozen=True, eq=False)
class WrongThreshold(TfliteRequant):
    """A rule that says one of its thresholds wrongly."""

    channel: int = 0
    step: int = 0
    by: int = 1

    def thresholds(self) -> np.ndarray:
        found = super().thresholds().copy()
        found[self.channel, self.step] += self.by
        return found


def test_a_wrong_threshold_is_caught_wherever_it_is() -> None:
    multiplier, shift = quantize_multiplier(np.random.default_rng(0).uniform(1e-3, 4e-3, CHANNELS))
    low, high, base = np.full(CHANNELS, -200_000), np.full(CHANNELS, 200_000), np.zeros(CHANNELS, np.int64)
    right = TfliteRequant(multiplier, shift, -4, -128, 127)
    accepted = solve(right, low, high, base, 8)
    assert prove(accepted, right, low, high, base) is None
    rng = np.random.default_rng(1)
    for _ in range(200):
        channel, step, by = int(rng.integers(CHANNELS)), int(rng.integers(255)), int(rng.choice([-1, 1]))
        wrong = WrongThreshold(multiplier, shift, -4, -128, 127, channel=channel, step=step, by=by)
        assert prove(accepted, wrong, low, high, base) == "the rule's thresholds contradict the rule"
        with pytest.raises((ArithmeticError, ValueError)):
            solve(wrong, low, high, base, 8)


def one_layer(seed: int) -> Planned:
    """A convolution in the portable C whose distance is exact to the byte."""
    rng = np.random.default_rng(seed)
    depthwise, size = bool(rng.integers(2)), int(rng.choice([1, 3, 5]))
    channels, outputs = (4, 4) if depthwise else (int(rng.choice([2, 5])), int(rng.choice([3, 7, 9])))
    op: Op = (DepthwiseConv2D if depthwise else Conv2D)(padding=(size // 2,) * 4)
    shape = (1, size, size, outputs) if depthwise else (outputs, size, size, channels)
    axis = 3 if depthwise else 0
    scale = np.full(outputs, 0.3 / (73 * (size * size * channels) ** 0.5), np.float32)
    types = {
        "x": TensorType((1, 6, 5, channels), INT8, QUANT),
        "w": TensorType(shape, INT8, Quantization(scale, np.zeros(outputs, np.int64), axis)),
        "b": TensorType((outputs,), INT32),
        "y": TensorType((1, 6, 5, outputs), INT8, QUANT),
    }
    constants = {"w": rng.integers(-127, 128, shape).astype(np.int8), "b": rng.integers(-99, 99, outputs, np.int32)}
    graph = Graph("g", ("x",), ("y",), (Node("y", op, ("x", "w", "b"), ("y",)),), types, constants)
    candidates = kernels_for(graph, load_board("host").core)
    return plan(graph, candidates, ram_limit=None, optimize="ram")


def is_right(planned: Planned, distance: int) -> bool:
    """Whether the output may be this far below the input: what the C computes then, on this machine."""
    moved = replace(planned, offsets={**planned.offsets, "y": 2048, "x": 2048 + distance}, arena_bytes=8192)
    try:
        run_poisoned(moved, random_inputs(planned.graph, 5))
    except AssertionError:
        return False
    return True


def test_an_overlap_that_is_one_byte_short_is_caught() -> None:
    caught = 0
    for seed in range(8):
        planned = one_layer(seed)
        (distance,) = [overlap.distance for overlap in planned.problem.overlaps]
        assert is_right(planned, distance)
        caught += not is_right(planned, distance - 1)
    assert caught >= 6  # elsewhere the kernel has read the byte when it is overwritten, and the distance is cautious
