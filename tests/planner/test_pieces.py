"""Layers in pieces of rows: every operator's pieces are the rows of the whole, and each knows what it reads."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from tests.planner.test_parts import FLOATS, ROWS_COME_FROM_THE_CALLER, images
from tinycompile.dtypes import INT8, INT32
from tinycompile.errors import UsageError
from tinycompile.ir import Array, Node, Quantization, Signature, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Function, Kernel
from tinycompile.kernels.cover import fused
from tinycompile.ops import all_ops
from tinycompile.ops.add import Add
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.planner.channel_pieces import divided_by_channels
from tinycompile.planner.pieces import Memory, NotDivisible, axis_of, cuts, divided, part
from tinycompile.planner.steps import Limit, read_limit
from tinycompile.targets import load_board

IMAGE = TensorType((1, 9, 4, 4), INT8)
WHOLE = {"lstm", "svdf"}
"""Operators that read everything, whose samples take long."""
POOL = MaxPool2D((3, 3), (1, 1), (1, 1, 1, 1))


def site_of(op: MaxPool2D | Add, *inputs: TensorType) -> Site:
    names = tuple(f"x{i}" for i in range(len(inputs)))
    (shape, dtype), *_ = op.infer(inputs)
    return Site(Node("layer", op, names, ("y",)), Signature(inputs, (TensorType(shape, dtype),)), (None,) * len(inputs))


def in_pieces(site: Site, inputs: list[Array], rows: int) -> Array:
    """What pieces compute of slices of the operands, by the operator's meaning."""
    size = site.sig.output.shape[axis_of(site.sig.output)]
    found = list[Array]()
    for cut in cuts(size, rows):
        each = part(site, cut)
        given = list(inputs)
        for operand, (first, last) in each.reads.items():
            t = each.site.sig.inputs[operand]
            item = t.dtype.bits // 8
            given[operand] = inputs[operand].reshape(-1)[first // item : last // item].reshape(t.shape)
        (made,) = each.site.node.op.evaluate(each.site.sig, given)
        found.append(made)
    return np.concatenate(found, axis=axis_of(site.sig.output))


def uses(kind: str) -> Iterator[tuple[Site, list[Array]]]:
    for use in images(kind):
        if use.sig.output.dtype.bits < 8 or any(t.dtype.bits < 8 for t in use.sig.inputs):
            continue
        names = tuple(f"x{i}" for i in range(len(use.sig.inputs)))
        node = Node("layer", use.op, names, tuple(f"y{i}" for i in range(len(use.sig.outputs))))
        yield Site(node, use.sig, use.constants), use.values(np.random.default_rng(len(names)))


@pytest.mark.parametrize("kind", sorted(all_ops().keys() - {ROWS_COME_FROM_THE_CALLER} - FLOATS - WHOLE))
def test_pieces_of_every_operator(kind: str) -> None:
    done = 0
    for site, given in uses(kind):
        try:
            found = in_pieces(site, given, 2)
        except NotDivisible:
            continue
        (expected,) = site.node.op.evaluate(site.sig, given)
        assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")
        done += 1
        if done == 3:
            return


def test_a_piece_has_the_padding_that_is_left_at_its_place() -> None:
    site = site_of(POOL, IMAGE)
    top, middle, bottom = (part(site, rows) for rows in (range(3), range(3, 6), range(6, 9)))
    assert [p.padding for p in (top, middle, bottom)] == [((1, 0),), ((0, 0),), ((0, 1),)]
    assert [p.reads[0] for p in (top, middle, bottom)] == [(0, 64), (32, 112), (80, 144)]
    assert [p.writes for p in (top, middle, bottom)] == [(0, 48), (48, 96), (96, 144)]


def test_pieces_of_fused_nodes() -> None:
    pool = Node("pool", POOL, ("x",), ("p",))
    add = Node("add", Add(), ("p", "z"), ("y",))
    node = fused([pool, add], dict.fromkeys("xpzy", IMAGE))
    found = part(Site(node, Signature((IMAGE, IMAGE), (IMAGE,)), (None, None)), range(3, 6))
    assert (found.reads[0], found.reads[1]) == ((32, 112), (48, 96))
    assert found.site.sig.inputs[0].shape == (1, 5, 4, 4)


def test_few_rows_that_are_left_over_are_the_last_pieces() -> None:
    assert cuts(25, 4) == [range(4), range(4, 8), range(8, 12), range(12, 16), range(16, 20), range(20, 25)]
    assert cuts(8, 3) == [range(3), range(3, 6), range(6, 8)]
    assert cuts(4, 8) == [range(4)]


def offered(scratch: int = 0, distance: int | None = None, in_place: bool = False) -> list[Kernel]:
    overlap = {} if distance is None or in_place else {0: distance}
    function = Function("f", (), "")
    return [Kernel("k", function, scratch_bytes=scratch, instructions=9, overlap=overlap, in_place=in_place)]


def test_pieces_do_not_overwrite_what_the_next_ones_read() -> None:
    site, kernel = site_of(POOL, IMAGE), offered()[0]
    apart = divided(site, 3, kernel, Memory({0: 144}, 0), lambda _: offered())
    assert [piece.part.rows for piece in apart] == [range(3), range(3, 6), range(6, 9)]
    # A piece's last row may be where the next one has the row above its first: the output lies a row further down.
    assert len(divided(site, 3, kernel, Memory({0: 16}, 0), lambda _: offered(distance=0))) == 3
    with pytest.raises(NotDivisible, match="overwrites"):
        divided(site, 3, kernel, Memory({0: 15}, 0), lambda _: offered(distance=0))


@pytest.mark.parametrize(
    ("found", "fits"),
    [
        (offered(scratch=8), True),
        (offered(scratch=16), False),
        (offered(), True),
    ],
)
def test_pieces_have_the_scratch_of_the_whole(found: list[Kernel], fits: bool) -> None:
    site, memory = site_of(POOL, IMAGE), Memory({0: 144}, 8)
    if fits:
        assert divided(site, 3, found[0], memory, lambda _: found)
    else:
        with pytest.raises(NotDivisible, match="no kernel"):
            divided(site, 3, found[0], memory, lambda _: found)


@pytest.mark.parametrize(
    ("found", "fits"),
    [(offered(distance=0), True), (offered(distance=4), False), (offered(in_place=True), True), (offered(), False)],
)
def test_pieces_may_overwrite_what_their_kernels_do(found: list[Kernel], fits: bool) -> None:
    site = site_of(Add(), IMAGE, IMAGE)
    memory = Memory({0: 0, 1: 500}, 0)
    if fits:
        assert divided(site, 3, found[0], memory, lambda _: found)
    else:
        with pytest.raises(NotDivisible, match="no kernel"):
            divided(site, 3, found[0], memory, lambda _: found)


@pytest.mark.parametrize("shape", [(1, 10), (1, 1, 1, 10), (3, 4, 4, 4)])
def test_one_position_and_several_images_are_not_divided(shape: tuple[int, ...]) -> None:
    with pytest.raises(NotDivisible):
        axis_of(TensorType(shape, INT8))


def test_limits() -> None:
    assert read_limit("5%") == Limit(Fraction(1, 20))
    assert read_limit("200k") == Limit(None, 200_000)
    assert read_limit("1.5M").of(7) == 1_500_000
    assert read_limit("12.5%").of(800) == 100


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "five", "-3", "5 %%", "inf", "1e3"])
def test_no_limits(text: str) -> None:
    with pytest.raises(UsageError, match="no limit"):
        read_limit(text)


def fully_connected(channels: int) -> Site:
    rng, scales = np.random.default_rng(3), np.full(channels, 0.01, np.float32)
    types = (
        TensorType((1, 24), INT8, Quantization.per_tensor(0.05, 3)),
        TensorType((channels, 24), INT8, Quantization(scales, np.zeros(channels, np.int64), 0)),
        TensorType((channels,), INT32, Quantization(scales * np.float32(0.05), np.zeros(channels, np.int64), 0)),
    )
    output = TensorType((1, channels), INT8, Quantization.per_tensor(0.1, -4))
    weights = rng.integers(-127, 128, types[1].shape).astype(np.int8)
    bias = rng.integers(-900, 900, channels).astype(np.int32)
    node = Node("layer", FullyConnected(), ("x", "w", "b"), ("y",))
    return Site(node, Signature(types, (output,)), (None, weights, bias))


def test_channels_of_one_position_with_the_layers_own_constants() -> None:
    site, core = fully_connected(20), load_board("mps2-an385").core
    whole = next(kernel for kernel in kernels_of(site, core) if kernel.variant == "fully_connected_row")
    apart = Memory({0: -24}, whole.scratch_bytes)
    pieces = divided_by_channels(site, 8, whole, apart, lambda part: kernels_of(part, core))
    assert [piece.part.rows for piece in pieces] == [range(8), range(8, 20)]
    assert all(piece.kernel.constants is whole.constants for piece in pieces)
    assert [piece.part.writes for piece in pieces] == [(0, 8), (8, 20)]
    assert all(offset > 0 for offset in pieces[1].offsets)
    x = np.random.default_rng(1).integers(-128, 128, (1, 24)).astype(np.int8)
    parts = [p.part.site.node.op.evaluate(p.part.site.sig, [x, *map(p.part.site.constant, (1, 2))])[0] for p in pieces]
    (expected,) = site.node.op.evaluate(site.sig, [x, site.constant(1), site.constant(2)])
    assert np.array_equal(np.concatenate(parts, 1), expected)
    with pytest.raises(NotDivisible, match="where the operand is"):
        divided_by_channels(site, 8, whole, Memory({0: 8}, 0), lambda part: kernels_of(part, core))
