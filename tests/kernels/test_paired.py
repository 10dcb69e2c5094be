"""Two channels of pixels that are two to a word: portable C on the host, RISC-V's assembly in QEMU, their groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_assembly import dense
from tests.kernels.test_dsp import layer
from tests.kernels.test_packed import worst
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check
from tinycompile.ir import Site
from tinycompile.kernels import kernels_of, paired_channels, paired_row
from tinycompile.kernels.base import Factory
from tinycompile.kernels.packed_pixels import LARGEST_SUM, group_ends
from tinycompile.kernels.paired_channels import LONGEST_GROUP, conv2d, fully_connected, paired_stream
from tinycompile.numerics.latitude import Latitude
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets import load_board

RV32 = load_board("qemu-riscv32").core


def _with_weights(site: Site, value: int) -> Site:
    """All weights alike: the longest groups, or those of the fewest taps."""
    weights = site.constants[1]
    assert weights is not None
    return replace(site, constants=(site.constants[0], np.full_like(weights, value), *site.constants[2:]))


WINDOWS = layer(Conv2D((1, 1), (1, 1), (1, 1, 2, 0)), (1, 5, 7, 3), (5, 3, 3, 3), 0, 1)
CASES: tuple[tuple[Factory, Site], ...] = (
    (conv2d, WINDOWS),
    (conv2d, _with_weights(WINDOWS, -128)),
    (conv2d, _with_weights(WINDOWS, 127)),
    (conv2d, _with_weights(WINDOWS, 1)),
    (conv2d, layer(Conv2D((2, 1), (1, 2), (0, 0, 0, 0)), (1, 6, 5, 4), (2, 2, 2, 4), 0, 2)),
    (conv2d, layer(Conv2D((1, 1)), (1, 1, 1, 40), (1, 1, 1, 40), 0, 3)),
    (fully_connected, dense(33, 4, 7, (-128, 127), 0)),
    (fully_connected, dense(8, 3, 2, (-128, 127), 0)),
    (paired_row.fully_connected, dense(600, 9, 1, (-128, 127), 0)),
    (paired_row.fully_connected, _with_weights(dense(640, 8, 1, (-128, 127), 0), 1)),
    (paired_row.fully_connected, _with_weights(dense(64, 2, 1, (-128, 127), 0), -127)),
)


def test_the_definition_on_the_host() -> None:
    for factory, site in CASES[::3]:
        check(factory, site, RV32)


def test_the_definition_in_assembly() -> None:
    check_emulated(CASES, "qemu-riscv32")


@pytest.mark.parametrize("deviation", [2, 40, 100])
def test_groups_are_common_to_two_channels(deviation: int) -> None:
    """And are as long as both channels' sums allow."""
    rng = np.random.default_rng(deviation)
    pairs = np.clip(np.rint(rng.normal(0, deviation, (3, 2, 200))), -128, 127).astype(np.int64)
    ends = group_ends(pairs, LONGEST_GROUP)
    stream = paired_stream(pairs, ends).view(np.uint8).tolist()
    for pair, last in zip(pairs, ends, strict=True):
        tap = 0
        for end in (np.flatnonzero(last) + 1).tolist():
            group = pair[:, tap:end]
            weights = group.T.ravel().astype(np.uint8).tolist()
            assert stream[: group.size + 2] == [group.size + 2, 6 * group.size, *weights]
            assert max(map(worst, group)) <= LARGEST_SUM and end - tap <= LONGEST_GROUP
            more = pair[:, tap : end + 1]
            assert end == 200 or end - tap == LONGEST_GROUP or max(map(worst, more)) > LARGEST_SUM
            stream, tap = stream[group.size + 2 :], end
        assert tap == 200 and stream.pop(0) == 255
    assert not stream


def test_where_it_is_offered() -> None:
    """Where there are registers for it, and to layers whose weights stay; there it takes the fewest instructions."""
    site = layer(Conv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 12, 12, 16), (16, 3, 3, 16), 0, 1)
    assert min(kernels_of(site, RV32), key=lambda kernel: kernel.instructions).variant == "conv2d_paired"
    assert "conv2d_paired" not in {kernel.variant for kernel in kernels_of(site, M7)}
    assert conv2d(replace(site, latitude=Latitude()), RV32) is None
    assert paired_channels.fully_connected(dense(7, 3, 1, (-128, 127), 0), RV32) is None


def test_which_rows_are_taken() -> None:
    """Those of an even number of inputs, whose weights stay and are no two times -128."""
    site = dense(8, 3, 1, (-128, 127), 0)
    taken = (site, _with_weights(site, -127))
    others = (_with_weights(site, -128), replace(site, latitude=Latitude()), dense(7, 3, 1, (-128, 127), 0))
    assert all(paired_row.fully_connected(case, RV32) for case in taken)
    assert not any(paired_row.fully_connected(case, RV32) for case in (*others, dense(8, 3, 2, (-128, 127), 0)))


def test_rows_of_eights() -> None:
    matrix = np.arange(-20, 20).reshape(10, 4)
    words = paired_row.weights_of_eights(matrix).view(np.uint8).reshape(2, 4, 2, 4)
    assert words[0, 1].tolist() == [
        [109, 117, 113, 121],
        [125, 133, 129, 137],
    ]  # of tap 1: channels 0, 2, 1, 3, 4, 6, 5, 7
    assert words[1, 3, 0].tolist() == [143, 128, 147, 128]
    ends = paired_row.pair_ends(np.array([[100, 100, 0, 55, 1, 0, 90, 90]]))
    assert ends is not None and paired_row.counts_of_groups(ends).tolist() == [2, 2, 0]
