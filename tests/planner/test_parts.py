"""Every operator that tells positions apart is executed by rows, tiles and patches, with what it was asked for before
and after: alone, and in front of a convolution that needs the rows and columns around its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from tests.ops.samples import Sample, sample, sampler_of
from tests.planner.test_poison import M7, random_inputs
from tests.planner.test_stream import run_planned, with_stages
from tinycompile.access import Summed, Whole
from tinycompile.dtypes import INT8
from tinycompile.ir import Graph, Node, Quantization, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.ops import all_ops
from tinycompile.ops.add import Add
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conv2d import Conv2D
from tinycompile.planner import Planned
from tinycompile.planner.candidates import Way
from tinycompile.planner.members import Geometry, is_image
from tinycompile.planner.stage import NotStreamable

WAYS = {
    "stream": (Way(1, 2), Way(2), Way(1)),
    "patch": (Way(2, 2, patches=True), Way(3, 1, patches=True), Way(2, 1, patches=True)),
}
FLOATS = {"atan2", "dequantize", "layer_normalization", "local_response_normalization", "quantize"}
QUANT = Quantization.per_tensor(0.05, 3)
ROWS_COME_FROM_THE_CALLER = "input_rows"


def images(kind: str) -> Iterator[Sample]:
    """Samples that say what positions of images they read."""
    sampler, rng = sampler_of(kind), np.random.default_rng(zlib.crc32(kind.encode()))
    assert sampler is not None
    for _ in range(200):
        use = sampler(rng)
        t = use.sig.output
        if use.op.kind != kind or not is_image(t.shape) or not use.sig.inputs:
            continue
        access = use.op.access(use.sig, 0)
        if not isinstance(access, Whole) and (min(t.shape[1:3]) > 1 or isinstance(access, Summed)):
            yield use


def graph_of(use: Sample, constants: dict[int, np.ndarray], *, followed: bool) -> Graph:
    """A model of one operator.

    Args:
        constants: operands that are constant, besides its own.
        followed: a convolution with padding reads its result.
    """
    names = tuple(f"x{i}" for i in range(len(use.sig.inputs)))
    types = {**dict(zip(names, use.sig.inputs, strict=True)), "y": use.sig.output}
    known = {names[i]: value for i, value in enumerate(use.constants) if value is not None}
    known |= {names[i]: value for i, value in constants.items()}
    nodes, output = [Node("y", use.op, names, ("y",))], "y"
    if followed:
        channels = use.sig.output.shape[3]
        scale = Quantization(np.full(2, 0.01, np.float32), np.zeros(2, np.int64), 0)
        types["w"] = TensorType((2, 3, 3, channels), INT8, scale)
        types["z"] = TensorType((*use.sig.output.shape[:3], 2), INT8, QUANT)
        known["w"] = np.random.default_rng(0).integers(-127, 128, types["w"].shape).astype(np.int8)
        nodes.append(Node("z", Conv2D(padding=(1, 1, 1, 1)), ("y", "w"), ("z",)))
        output = "z"
    inputs = tuple(name for name in names if name not in known)
    return Graph("part", inputs, (output,), tuple(nodes), types, known)


def plans_of(graph: Graph, way: Way) -> Iterator[Planned]:
    """All nodes executed together in a way, if that is possible and there are kernels for it."""
    try:
        stage = way.stage(Geometry(graph), 0, len(graph.nodes))
    except NotStreamable:
        return
    if all(kernels_of(firing.site, M7) for firing in stage.firings):
        yield with_stages(graph, [stage], M7, "speed")


@pytest.mark.parametrize("kind", sorted(all_ops().keys() - {ROWS_COME_FROM_THE_CALLER}))
def test_every_operator_in_parts(kind: str) -> None:
    """Two uses, one with a follower, in two ways each. Of operators that read operands whole there are none."""
    done = dict.fromkeys(("stream", "patch"), 0)
    for use in images(kind):
        mode = min(done, key=lambda mode: done[mode])
        followed = done[mode] % 2 == 1 and use.sig.output.dtype == INT8
        graph = graph_of(use, {}, followed=followed)
        if not all(kernels_of(graph.site(node), M7) for node in graph.nodes):
            continue
        for planned in (planned for way in WAYS[mode] for planned in plans_of(graph, way)):
            run_planned(planned, random_inputs(graph, 0), exact=kind not in FLOATS)
            done[mode] += 1
            break
        if min(done.values()) >= 2:
            return
    assert done["stream"] or not any(images(kind)), f"no use of {kind} was executed by rows"


@pytest.mark.parametrize("op", [Add(), Concatenation(3)])
@pytest.mark.parametrize("height", [2, 3, 4, 5])
def test_constants_that_differ_from_row_to_row(op: Add | Concatenation, height: int) -> None:
    """A part with its halo may be as high as the tensor: it isn't the tensor."""
    t = TensorType((1, height, 4, 3), INT8, QUANT)
    value = np.random.default_rng(1).integers(-128, 128, t.shape).astype(np.int8)
    graph = graph_of(sample(op, [t, t], t), {1: value}, followed=True)
    for planned in (planned for ways in WAYS.values() for way in ways for planned in plans_of(graph, way)):
        run_planned(planned, random_inputs(graph, 0))
