"""Layers on two cores: halves compute what the whole does, and cores meet where one would disturb the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.attention_sites import graph_of
from tests.kernels.test_assembly import dense
from tests.kernels.test_batch_matmul import product
from tests.kernels.test_dsp import layer
from tests.planner.test_poison import random_inputs
from tests.planner.test_stream import run_planned
from tests.support.cores import core_named
from tests.support.full import FULL, also
from tests.support.two_threads import on_two_threads
from tinycompile.codegen.emit import emit_model
from tinycompile.codegen.program import build_program
from tinycompile.codegen.project import Provenance
from tinycompile.dtypes import INT8
from tinycompile.ir import Graph, Node, Quantization, Site, TensorType
from tinycompile.kernels import Covers, Offer, kernels_for, kernels_of
from tinycompile.kernels.base import Kernel
from tinycompile.ops.add import Add
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.planner import LayerPlanner, Planned
from tinycompile.planner.halves import WithHalves
from tinycompile.planner.meetings import Accesses, Span, accesses, all_meetings, meetings
from tinycompile.planner.pace import Pace
from tinycompile.staging import write_files
from tinycompile.targets import Core, load_board

QUANT = Quantization.per_tensor(0.05, 3)
OFFER = WithHalves(kernels_of)


def residual(rng: np.random.Generator, rows: int = 8, columns: int = 6) -> Graph:
    """A depthwise layer, two convolutions that read rows beside their own, a sum with what was in front of these."""
    image = TensorType((1, rows, columns, 8), INT8, QUANT)
    depthwise, convolution = (1, 3, 3, 8), (8, 3, 3, 8)
    scales = Quantization(np.full(8, 0.01, np.float32), np.zeros(8, np.int64), 0)
    types = dict.fromkeys("xdcey", image)
    types["dw"] = TensorType(depthwise, INT8, Quantization(scales.scale, scales.zero_point, 3))
    types["cw"] = TensorType(convolution, INT8, scales)
    constants = {name: rng.integers(-127, 128, types[name].shape).astype(np.int8) for name in ("dw", "cw")}
    nodes = (
        Node("d", DepthwiseConv2D(padding=(1, 1, 1, 1)), ("x", "dw"), ("d",)),
        Node("c", Conv2D(padding=(1, 1, 1, 1)), ("d", "cw"), ("c",)),
        Node("e", Conv2D(padding=(1, 1, 1, 1)), ("c", "cw"), ("e",)),
        Node("y", Add(), ("e", "d"), ("y",)),
    )
    return Graph("residual", ("x",), ("y",), nodes, types, constants)


def uneven(line: int) -> Offer:
    """A second core that takes three times as long."""
    return WithHalves(kernels_of, None, Pace(3.0, 3.0, line))


@pytest.mark.parametrize("line", [32, *also(0)])
def test_shares_are_by_speed_and_end_with_a_line(line: int) -> None:
    graph, offer, core = residual(np.random.default_rng(5)), uneven(line), load_board("mps2-an500").core
    covers = Covers(core, None, offer)
    kernels = kernels_for(graph, core, None, offer)
    planned = LayerPlanner(graph, kernels, covers, groups=covers.groups, unit=max(8, line)).plan(
        ram_limit=None, optimize="speed"
    )
    halves = [kernel.halves for kernel in planned.kernels if kernel.halves]
    assert halves
    for first, second in halves:
        sizes = [half.writes[1] - half.writes[0] for half in (first, second)]
        assert 2 * sizes[1] <= sizes[0]
        assert not line or second.writes[0] % line == 0
    assert all_meetings(planned, line)[-1].layer == len(planned.graph.nodes)
    if line:
        assert all(at % line == 0 for at in planned.offsets.values())
    run_planned(planned, random_inputs(graph, 1), cores=2)


def test_two_cores_that_write_into_a_line_meet() -> None:
    one, other = Accesses(writes=[Span("arena", 0, 24)]), Accesses(writes=[Span("arena", 24, 40)])
    assert not one.disturbs(other)
    assert one.disturbs(other, 32)
    assert not one.disturbs(Accesses(reads=[Span("arena", 24, 40)]), 32)  # what is read stays as it is


def without_blocks(site: Site, core: Core) -> list[Kernel]:
    """Convolutions whose working memory is so large that it pays to have little else."""
    return [
        kernel for kernel in OFFER(site, core) if not kernel.variant.startswith(("conv2d_block", "conv2d_winograd"))
    ]


def planned_for(core: Core, graph: Graph, ram: int | None = None, offer: Offer = OFFER) -> Planned:
    covers = Covers(core, None, offer)
    planner = LayerPlanner(graph, kernels_for(graph, core, None, offer), covers, groups=covers.groups)
    return planner.plan(ram_limit=ram, optimize="speed")


@pytest.mark.parametrize("board", ["mps2-an521", "mps2-an500"])
def test_halves_compute_what_the_whole_does(board: str) -> None:
    graph = residual(np.random.default_rng(5))
    planned = planned_for(load_board(board).core, graph)
    assert sum(bool(kernel.halves) for kernel in planned.kernels) >= 2
    run_planned(planned, random_inputs(graph, 1), cores=2)


def test_in_place_by_channels_and_behind_a_convolution() -> None:
    graph = residual(np.random.default_rng(6))
    core = load_board("mps2-an521").core
    free = planned_for(core, graph, offer=without_blocks)
    planned = planned_for(core, graph, free.arena_bytes - 256, without_blocks)
    depthwise, convolution, with_sum = planned.kernels
    assert depthwise.notes["cores"] == "channels 4 and 4"
    assert depthwise.in_place
    assert convolution.notes["cores"] == "rows 4 and 4"
    assert with_sum.variant == "conv2d_packed_sum_apart"
    assert planned.offsets["y"] == planned.offsets["d"]
    assert meetings(planned) == {1, 2}
    run_planned(planned, random_inputs(graph, 2), cores=2)


def test_rows_of_matrices_and_matrices_that_begin_anywhere() -> None:
    """A dense layer's rows, which are pixels of an image to its kernels; rows and matrices of odd sizes, to kernels of
    bytes.
    """
    matrices = product(((1, 4), (1, 4)), (5, 6, 5), (False, True), (3, -7, 5))
    sites = dense(12, 6, 7, (-128, 127), 0), matrices, dense(7, 5, 9, (-128, 127), 0)
    graph = side_by_side(sites)
    planned = planned_for(load_board("mps2-an521").core, graph)
    kernels = {node.name: k for node, k in zip(planned.graph.nodes, planned.kernels, strict=True)}
    divided = [kernels[f"y_{i}"].notes["cores"] for i in range(3)]
    assert divided == ["rows 3 and 4", "rows 2 and 2", "rows 4 and 5"]
    assert [kernels[name].halves[1].writes for name in ("y_1", "y_2")] == [(50, 100), (20, 45)]
    run_planned(planned, random_inputs(graph, 3), cores=2)


def side_by_side(sites: Sequence[Site]) -> Graph:
    """Layers of which none needs another."""
    types, constants = dict[str, TensorType](), dict[str, np.ndarray]()
    nodes, inputs = list[Node](), list[str]()
    for index, site in enumerate(sites):
        operands = [f"{name}_{index}" for name in site.node.inputs]
        types |= dict(zip(operands, site.sig.inputs, strict=True)) | {f"y_{index}": site.sig.output}
        constants |= {name: c for name, c in zip(operands, site.constants, strict=True) if c is not None}
        inputs += [name for name in operands if name not in constants]
        nodes.append(Node(f"y_{index}", site.node.op, tuple(operands), (f"y_{index}",)))
    outputs = tuple(node.name for node in nodes)
    return Graph("beside", tuple(inputs), outputs, tuple(nodes), types, constants)


def test_heads_of_an_attention_in_place() -> None:
    """Beside each other in a token: each core writes its own where their queries were."""
    graph = graph_of(3, 5, 5, 4)
    planned = planned_for(core_named("cortex-m4", dsp=True), graph)
    step, kernel = next((i, k) for i, k in enumerate(planned.kernels) if k.variant == "attention_lanes")
    assert (kernel.notes["cores"], kernel.in_place) == ("matrices 1 and 2", True)
    first, second = (core.writes[0] for core in accesses(planned, step))
    assert (first.pixel, first.channels, second.channels) == (12, range(4), range(4, 12))
    run_planned(planned, random_inputs(graph, 5), cores=2)


@pytest.mark.parametrize(("core", "variant", "ram"), [("cortex-m4", "strips", 1040), ("cortex-m0plus", "packed", 840)])
def test_depthwise_in_place_by_channels(core: str, variant: str, ram: int) -> None:
    """Where groups of 4 channels, or channels, come one after the other; 12 are 4 and 8, or 6 and 6."""
    site = layer(DepthwiseConv2D(padding=(1, 1, 1, 1)), (1, 5, 4, 12), (1, 3, 3, 12), 3, 1)
    graph = side_by_side([site])
    planned = planned_for(core_named(core, dsp=variant == "strips"), graph, ram)
    (kernel,) = planned.kernels
    assert (kernel.variant, kernel.in_place) == (f"depthwise_{variant}", True)
    assert kernel.notes["cores"] == ("channels 4 and 8" if variant == "strips" else "channels 6 and 6")
    run_planned(planned, random_inputs(graph, 4), cores=2)


def test_halves_meet_where_one_disturbs_the_other() -> None:
    planned = planned_for(load_board("mps2-an521").core, residual(np.random.default_rng(7)))
    for step, kernel in enumerate(planned.kernels):
        one, other = accesses(planned, step)
        if kernel.together:
            continue  # below, by threads
        assert not one.disturbs(other)
        assert not other.disturbs(one)


def test_layers_that_both_compute_together(tmp_path: Path) -> None:
    """Of several blocks, in the place of their operand; threads as cores, without a race."""
    graph = residual(np.random.default_rng(8), 9, 17)
    planned = planned_for(load_board("mps2-an521").core, graph)
    together = [i for i, kernel in enumerate(planned.kernels) if kernel.together]
    assert [planned.kernels[i].notes["cores"] for i in together] == ["channels 4 and 4 together"] * 2
    assert any(_meet(planned, *planned.graph.nodes[i].inputs[:1], *planned.graph.nodes[i].outputs) for i in together)
    check_threads(planned, tmp_path)


@pytest.mark.skipif(not FULL, reason="compiles twice more: test-full")
def test_small_tiles_that_both_compute_together(tmp_path: Path) -> None:
    """Channels that aren't a multiple of 4, blocks at edges, which are copied behind a meeting."""
    sites = [layer(Conv2D(padding=(1, 1, 1, 1)), (1, 7, 17, 6), (channels, 3, 3, 6), 0, 1) for channels in (7, 6)]

    def together(site: Site, core: Core) -> list[Kernel]:
        return [kernel for kernel in OFFER(site, core) if kernel.together]

    planned = planned_for(core_named("cortex-m4", dsp=True), side_by_side(sites), offer=together)
    assert [kernel.variant for kernel in planned.kernels] == ["conv2d_winograd"] * 2
    check_threads(planned, tmp_path)


def check_threads(planned: Planned, folder: Path) -> None:
    """Threads as cores compute what one does, without a race; with TESTS=full: a meeting that is missing is one."""
    program = build_program("model", planned, cores=2)
    out, work = folder / "out", folder / "work"
    write_files(out, emit_model(program, Provenance("test", "0" * 64)))
    work.mkdir()
    ran = on_two_threads(out, "model", work)
    assert (ran.returncode, ran.stdout) == (0, "0 wrong\n"), ran.stderr
    if FULL:
        header = out / "tinycompile" / "tc_together.h"
        header.write_text(header.read_text().replace("tc_meet(meeting, core)", "(void)meeting"))
        assert on_two_threads(out, "model", work).returncode != 0


def _meet(planned: Planned, one: str, other: str) -> bool:
    """Whether values share memory."""
    at = [(planned.offsets[name], planned.offsets[name] + planned.graph.types[name].bytes) for name in (one, other)]
    return at[0][0] < at[1][1] and at[1][0] < at[0][1]


@pytest.mark.parametrize(
    ("one", "other", "meets"),
    [
        (Span("arena", 0, 8), Span("arena", 7, 9), True),
        (Span("arena", 0, 8), Span("arena", 8, 9), False),
        (Span("arena", 0, 8), Span("state", 0, 8), False),
        (Span("arena", 0, 64, 8, range(4)), Span("arena", 0, 64, 8, range(4, 8)), False),
        (Span("arena", 0, 64, 8, range(4)), Span("arena", 16, 80, 8, range(4, 8)), False),
        (Span("arena", 0, 64, 8, range(4)), Span("arena", 4, 68, 8, range(4, 8)), True),
        (Span("arena", 0, 64, 8, range(5)), Span("arena", 0, 64, 8, range(4, 8)), True),
        (Span("arena", 0, 64, 8, range(4)), Span("arena", 0, 64), True),
    ],
)
def test_spans(one: Span, other: Span, meets: bool) -> None:
    assert one.meets(other) == other.meets(one) == meets
    assert Accesses([], [one]).disturbs(Accesses([other], [])) == meets
    assert not Accesses([one], []).disturbs(Accesses([other], []))
