"""The laws of accesses, for signals, images and volumes: windows against sums that slide over an array."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycompile.access import Access, Across, Box, Enlarged, Given, Planar, Pointwise, Reach, Summed, Whole, Windowed
from tinycompile.planner.stage import NotStreamable, Span

small = st.integers(1, 3)
reaches = st.builds(
    lambda stride, taps, apart, before, up: Reach(stride, (taps - 1) * apart + 1, before, up, apart),
    st.integers(0, 3), small, small, st.integers(0, 4), small,
)  # fmt: skip


@st.composite
def windows(draw: st.DrawFn) -> tuple[Windowed, tuple[int, ...]]:
    """A window over one to three axes, and an operand's positions into which it fits."""
    rank = draw(small)
    kernel, stride, dilation = (tuple(draw(small) for _ in range(rank)) for _ in range(3))
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank))
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    shape = tuple(max(draw(st.integers(1, 4)), e - sum(pair)) for e, pair in zip(extents, padding, strict=True))
    return Windowed(kernel, stride, dilation, padding, 0), shape


def sliding_sums(window: Windowed, x: np.ndarray) -> np.ndarray:
    """The sum under a window at each of its places, in any number of axes."""
    padded = np.pad(x, window.padding)
    extent = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilation, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(padded, extent)
    places = tuple(slice(None, None, s) for s in window.stride)
    taps = tuple(slice(None, None, d) for d in window.dilation)
    return views[(*places, *taps)].sum(axis=tuple(range(-x.ndim, 0)))


def read(access: Access, position: tuple[int, ...]) -> set[tuple[int, ...]]:
    """What a position of the output reads."""
    along = [access.along(axis) for axis in range(len(position))]
    return set(product(*(reach.taps(y) for reach, y in zip(along, position, strict=True) if reach is not None)))


@settings(max_examples=60, deadline=None)
@given(windows())
def test_a_window_reads_what_lies_under_it(case: tuple[Windowed, tuple[int, ...]]) -> None:
    window, shape = case
    nothing = sliding_sums(window, np.zeros(shape, int))
    for place in np.ndindex(shape):
        x = np.zeros(shape, int)
        x[place] = 1
        changed = {tuple(map(int, y)) for y in np.argwhere(sliding_sums(window, x) != nothing)}
        assert changed == {y for y in np.ndindex(nothing.shape) if place in read(window, y)}


@settings(max_examples=60, deadline=None)
@given(windows(), st.data())
def test_the_receptive_field_is_the_least_box(case: tuple[Windowed, tuple[int, ...]], data: st.DataObject) -> None:
    window, _ = case
    box = Box()
    for _ in window.kernel:
        start = data.draw(st.integers(0, 4))
        box += (range(start, start + data.draw(small)),)
    inside = np.array(sorted(set[tuple[int, ...]]().union(*(read(window, y) for y in product(*box)))))
    assert window.needs(box) == tuple(
        range(low, high + 1) for low, high in zip(inside.min(axis=0), inside.max(axis=0), strict=True)
    )


@given(windows(), st.data())
def test_without_padding_it_reads_the_same_of_what_has_it(
    case: tuple[Windowed, tuple[int, ...]], data: st.DataObject
) -> None:
    """Sums over an array are those over the array with zeros around it."""
    window, shape = case
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1)))
    x = np.random.default_rng(0).integers(1, 9, shape)
    around = np.pad(x, [pair if axis in axes else (0, 0) for axis, pair in enumerate(window.padding)])
    np.testing.assert_array_equal(sliding_sums(window, x), sliding_sums(window.unpadded(axes), around))


@given(reaches, st.integers(1, 6), st.integers(1, 8))
def test_leaving_an_operand(reach: Reach, outputs: int, size: int) -> None:
    places = {place for y in range(outputs) for place in reach.taps(y)}
    assert reach.leaves(outputs, size) == (min(places) < 0 or max(places) >= size)


@given(reaches, st.integers(0, 6))
def test_the_first_tap_inside(reach: Reach, position: int) -> None:
    """As if the operand had no end: a position all of whose taps lie before it would read the next one."""
    taps = reach.taps(position)
    following = range(taps.start, max(taps.stop, reach.apart), reach.apart)
    assert reach.first_inside(position) == next(place for place in following if place >= 0)


@given(reaches, st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(0, 3))
def test_a_span_reads_the_hull_of_every_turn(reach: Reach, step: int, size: int, before: int, turn: int) -> None:
    """The planner's spans, which are the same for all turns, and the receptive field of one of them."""
    step, size, before = step * reach.up, size * reach.up, before * reach.up
    needed = Span(step, size, before).read_by(reach)
    first = turn * step - before
    start = turn * needed.step - needed.before
    assert reach.hull(range(first, first + size)) == range(start, start + needed.size)


def test_spans_are_made_whole_before_they_are_enlarged() -> None:
    assert Span(4, 5, 1).whole(2) == Span(4, 6, 2)
    with pytest.raises(NotStreamable, match="whole steps"):
        Span(3, 3).whole(2)


def test_what_is_not_told_apart_is_needed_whole() -> None:
    box = (range(1, 3), range(2))
    assert [access.needs(box) for access in (Whole(), Given(), Summed())] == [None] * 3
    assert Pointwise().needs(box) == Planar().needs(box) == box
    assert Pointwise(frozenset({0})).needs(box) == (range(1), range(2))
    assert Across(frozenset({0}), 1, 5).needs(box) == (range(1), range(5))
    assert Enlarged((2, 1)).needs(box) == (range(2), range(2))
