"""Transposed convolution by the byte-lane product: a convolution for each phase of the output (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call
from tinycompile.kernels.generic_overlap import ordered_distance
from tinycompile.kernels.lane import Lanes, channel_stream
from tinycompile.kernels.lane_conv2d import (
    BLOCKS,
    SHORTEST_BY_ROWS,
    Blocks,
    block_functions,
    expansion_cost,
    pair_order,
    pairs_cost,
)
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.transpose_conv import transpose_conv_stem
from tinycompile.kernels.work import Work
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.ops.transpose_conv import Phase, TransposeConv
from tinycompile.targets.core import Core

PHASES, CLASSES = 16, 9
"""TC_LANE_PHASES, TC_LANE_CLASSES."""


@dataclass(frozen=True)
class PhaseClass:
    """Phases that read the same windows.

    Attributes:
        rows, columns: one of the phases along each axis; of the others only `first` and the kernel's positions differ.
        phases: (rows, columns) of each.
    """

    rows: Phase
    columns: Phase
    phases: tuple[tuple[Phase, Phase], ...]

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of the window: a phase that reads nothing gets one with a weight of 0."""
        return max(1, len(self.rows.taps)), max(1, len(self.columns.taps))


def classes_of(op: TransposeConv, site: Site) -> list[PhaseClass]:
    """All phases of the output."""

    def reads(phase: Phase) -> tuple[int, int, int]:
        return phase.origin, len(phase.taps), phase.count

    rows, columns = op.phases(site.sig)
    found: dict[tuple[object, ...], list[tuple[Phase, Phase]]] = {}
    for row in rows:
        for column in columns:
            found.setdefault((reads(row), reads(column)), []).append((row, column))
    return [PhaseClass(*phases[0], tuple(phases)) for phases in found.values()]


def _part(weights: Array, phase: tuple[Phase, Phase]) -> Array:
    """The kernel of one phase as a convolution's, (C_out, taps); zero where the phase reads nothing."""
    rows, columns = (list(each.taps) for each in phase)
    if not rows or not columns:
        return np.zeros((weights.shape[0], max(1, len(rows)) * max(1, len(columns)) * weights.shape[3]), np.int64)
    return weights[:, rows][:, :, columns].reshape(weights.shape[0], -1)


def _layer(site: Site, op: TransposeConv, classes: list[PhaseClass]) -> LinearLayer | None:
    """All phases as one layer, whose requantisations are solved together: phase by phase the output channels, their
    windows filled up with zeros to the longest; None for a rule that can't be repeated.
    """
    rule: Requant = op.requant(site.sig)
    if not isinstance(rule, TfliteRequant | StepRequant):
        return None
    weights, channels = site.constant(1).astype(np.int64), site.sig.output.shape[3]
    parts = [_part(weights, phase) for each in classes for phase in each.phases]
    longest = max(part.shape[1] for part in parts)
    matrix = np.concatenate([np.pad(part, ((0, 0), (0, longest - part.shape[1]))) for part in parts])
    bias = site.constant(2).astype(np.int64) if len(site.sig.inputs) > 2 else np.zeros(channels, np.int64)
    repeated = rule.take(np.tile(np.arange(channels), len(parts)))
    zero_point = site.sig.input.zero_point
    return LinearLayer.kept(matrix[:, None, None], np.tile(bias, len(parts)), zero_point, repeated, site.latitude)


@dataclass(frozen=True, eq=False)
class _Class:
    """What the C is told of a class, and what that costs.

    Attributes:
        fields: members of a `tc_lane_phases`.
        scratch: bytes. turn: of a row of every phase.
    """

    fields: Fields
    blocks: Blocks
    scratch: int
    turn: Work


@kernel_for(TransposeConv, needs={"dsp"})
def transpose_conv_lane(site: Site, core: Core) -> Kernel | None:
    """Any kernel, without groups; None for strides with more phases than the C has room for."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, TransposeConv) or any(c is None for c in site.constants[1:]):
        return None
    classes = classes_of(op, site)
    if op.groups(sig) != 1 or len(classes) > CLASSES or max(len(each.phases) for each in classes) > PHASES:
        return None
    layer = _layer(site, op, classes)
    lanes = None if layer is None else Lanes.of(layer)
    if lanes is None:
        return None
    made, words = list[_Class](), 0
    for each in classes:
        made.append(_class(site, each, lanes, words, core))
        words += len(each.phases) * _phase_words(each, site, lanes)
    functions = block_functions(lanes.requant, [each.blocks for each in made], core)
    (_, height, width, channels), turns = sig.output.shape, max(each.rows.count for each in classes)
    shape = {
        "turns": turns,
        "turn_bytes": op.stride[0] * width * channels,
        "pixel_bytes": op.stride[1] * channels,
        "count": len(classes),
        "classes": [each.fields for each in made],
    }
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
    rows = [row for each in classes for row, _ in each.phases]
    work = sum((one.turn * each.rows.count for one, each in zip(made, classes, strict=True)), Work(60, 60))
    return Kernel(
        "transpose_conv_lane",
        struct_call(
            f"transpose_conv_lane_{transpose_conv_stem(op, sig)}",
            "tc_lane_transpose_conv_s8",
            "tc_lane_transpose_conv.h",
            parameters,
            (Struct("tc_lane_transpose_conv_shape", shape),),
            "Transposed convolution by the byte-lane product: a convolution for each phase of the output.",
            (*names_of(parameters), *(functions[kind][0] if kind in functions else "NULL" for kind in BLOCKS)),
            tuple(definition for _, definition in functions.values()),
        ),
        (Constant("weights", "int32_t", _stream(classes, site, lanes, words), "per phase, then as of a convolution"),),
        scratch_bytes=max(each.scratch for each in made),
        instructions=work.instructions,
        cycles=work.cycles_on(core),
        code_bytes=600 + 400 * len(classes),
        overlap={0: ordered_distance(*_turns(rows, turns, site, min(op.stride[0], height)))},
        notes={"requantisation": lanes.plan.form},
        requant=lanes.plan.shape_in_code,
    )


def _groups(each: PhaseClass, site: Site) -> int:
    """Words of a channel: four taps each."""
    return -(-each.kernel[0] * each.kernel[1] * site.sig.input.shape[3] // 4)


def _phase_words(each: PhaseClass, site: Site, lanes: Lanes) -> int:
    """Of a phase's weights."""
    record = lanes.record - lanes.groups + _groups(each, site)
    return -(-site.sig.output.shape[3] // 2) * 2 * record


def _class(site: Site, each: PhaseClass, lanes: Lanes, words: int, core: Core) -> _Class:
    """`words`: before the weights of the class."""
    (_, in_height, in_width, depth), (_, _, width, channels) = site.sig.input.shape, site.sig.output.shape
    (kernel_height, kernel_width), groups = each.kernel, _groups(each, site)
    blocks, segment = Blocks.of(each.columns.count), kernel_width * depth
    by_rows = segment % 4 == 0 and segment >= SHORTEST_BY_ROWS
    spacing = segment if by_rows else 4 * groups
    inside = each.rows.count <= in_height and each.columns.count <= in_width
    gathers = each.kernel != (1, 1) or (each.rows.origin, each.columns.origin) != (0, 0) or not inside
    own = _phase_words(each, site, lanes)
    window = {
        "input_height": in_height,
        "input_width": in_width,
        "input_channels": depth,
        "output_width": each.columns.count,
        "output_channels": channels,
        "kernel_height": kernel_height,
        "kernel_width": kernel_width,
        "stride_y": 1,
        "stride_x": 1,
        "dilation_y": each.rows.apart,
        "dilation_x": each.columns.apart,
        "padding_top": -each.rows.origin,
        "padding_left": -each.columns.origin,
        "zero_point": site.sig.input.zero_point,
        "by_rows": int(by_rows),
        "spacing": spacing,
        "gathers": int(gathers),
        "groups": groups,
        "pair_words": own // -(-channels // 2),
        "fours": blocks.fours,
        "threes": blocks.threes,
        "rest": blocks.rest,
    }
    fields = {
        "window": window,
        "rows": each.rows.count,
        "count": len(each.phases),
        "offset": [(row.first * width + column.first) * channels for row, column in each.phases],
        "weights": [words + index * own for index in range(len(each.phases))],
    }
    window_bytes = max(blocks.largest * spacing, 4 * groups if blocks.rest else 0) if gathers else 0
    result_bytes = max(2, channels) * blocks.largest if blocks.rest or channels == 1 else 0
    turn = Work(40, 40)
    for pixels, count in blocks.counts:
        expansion = expansion_cost(pixels, groups, kernel_height if gathers else 0, segment, by_rows=by_rows)
        phase = 50 + pairs_cost(pixels, channels, groups, lanes.requant, core)
        turn += count * (20 + expansion + len(each.phases) * phase)
    return _Class(fields, blocks, 8 * blocks.largest * groups + max(window_bytes, result_bytes), turn)


def _stream(classes: list[PhaseClass], site: Site, lanes: Lanes, size: int) -> Deferred:
    """The weights of all phases, each as a convolution's. `size`: words."""

    def compute() -> Array:
        parts, first, order = list[Array](), 0, pair_order(site.sig.output.shape[3])
        for each in classes:
            words = lanes.words[:, : _groups(each, site)]  # what a phase's window lacks to the longest is at its end
            for _ in each.phases:
                parts.append(channel_stream(words, lanes.plan, 2, first + order))
                first += site.sig.output.shape[3]
        return np.concatenate(parts)

    return Deferred(size, np.int32, compute)


def _turns(rows: list[Phase], turns: int, site: Site, stride: int) -> tuple[Array, Array]:
    """Per turn the lowest byte of the input that it reads, and the bytes of the output up to its end."""
    (_, in_height, in_width, depth), (_, height, width, channels) = site.sig.input.shape, site.sig.output.shape

    def read(turn: int) -> Iterator[int]:
        for phase in rows:
            for j in range(max(1, len(phase.taps))):
                row = turn + phase.origin + j * phase.apart
                if turn < phase.count and 0 <= row < in_height:
                    yield row

    lowest = np.array([min(read(turn), default=in_height) for turn in range(turns)])
    written = np.minimum(np.arange(1, turns + 1) * stride, height) * width * channels
    return lowest * in_width * depth, written
