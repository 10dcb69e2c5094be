"""RISC-V's vectors: portable C on the host, assembly in QEMU with registers of 128 bits and of others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_assembly import dense
from tests.kernels.test_dsp import layer
from tests.kernels.test_fused import sites
from tests.support.emulated_kernel import check_emulated
from tests.support.full import some
from tests.support.kernel_checks import check
from tinycompile.ir import Site
from tinycompile.kernels import kernels_of, rvv
from tinycompile.kernels.base import Factory
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.vector_requant import VectorRequant
from tinycompile.numerics.latitude import Latitude
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets import load_board

BOARD = "qemu-riscv32v"


def _with_scales(site: Site, low: float, high: float) -> Site:
    """Weights whose channels have scales that differ by far."""
    types = list(site.sig.inputs)
    quantization = types[1].quant
    assert quantization is not None
    channels = len(quantization.scale)
    scales = np.geomspace(low, high, channels).astype(np.float32)
    types[1] = replace(types[1], quant=replace(quantization, scale=scales))
    return replace(site, sig=replace(site.sig, inputs=tuple(types)))


POINTWISE = layer(Conv2D((1, 1)), (1, 3, 3, 8), (40, 1, 1, 8), 0, 3)
CASES: tuple[tuple[Factory, Site], ...] = (
    (rvv.conv2d, layer(Conv2D((1, 1), (1, 1), (1, 1, 2, 0)), (1, 5, 7, 3), (5, 3, 3, 3), 0, 1)),
    (rvv.conv2d, layer(Conv2D((2, 1), (1, 2), (0, 0, 0, 0)), (1, 6, 5, 4), (33, 2, 2, 4), 0, 2)),
    (rvv.conv2d, layer(Conv2D((1, 2), (1, 1), (0, 0, 1, 1)), (1, 4, 6, 5), (65, 1, 3, 5), 0, 6)),
    (rvv.conv2d, POINTWISE),
    (rvv.conv2d, _with_scales(POINTWISE, 1e-6, 0.9)),
    (rvv.conv2d, layer(Conv2D((1, 1)), (1, 2, 2, 1), (3, 1, 1, 1), 0, 5)),
    (rvv.fully_connected, dense(33, 70, 7, (-128, 127), 0)),
    (rvv.fully_connected, dense(600, 9, 1, (-128, 127), 0)),
    (rvv.fully_connected, dense(2, 3, 2, (0, 90), 0)),
    (rvv.depthwise, layer(DepthwiseConv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 4, 5, 37), (1, 3, 3, 37), 3, 1)),
    (rvv.depthwise, layer(DepthwiseConv2D((2, 1), (1, 2), (0, 0, 0, 0)), (1, 7, 6, 4), (1, 3, 2, 4), 3, 2)),
    *((rvv.linear_and, site) for site in sites()),
)


def test_the_definition_on_the_host() -> None:
    for factory, site in some(CASES, 3):
        check(factory, site, load_board(BOARD).core)


def test_the_definition_in_assembly() -> None:
    check_emulated(CASES, BOARD)


def test_all_forms_of_requantisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver hardly ever needs shifts of their own, or sums that are shifted first: these layers are made to."""
    core = load_board(BOARD).core
    kernels = [factory(site, core) for factory, site in CASES]
    assert {kernel.notes["requantisation"] for kernel in kernels if kernel} == {"smmla", "smmla_signed"}

    def shifted(layer: LinearLayer) -> VectorRequant:
        plan = layer.solve(3, forms=("smmla_shift",))
        assert plan.form == "smmla_shift"
        return VectorRequant(plan)

    monkeypatch.setattr(rvv.VectorRequant, "of", staticmethod(shifted))
    cases = [CASES[3], CASES[8], CASES[9]]
    assert len({int(shift) for shift in shifted(LinearLayer.of(cases[0][1])).plan.shift}) > 1
    check_emulated(cases, BOARD)
    for factory, site in cases:
        check(factory, site, core)


@pytest.mark.parametrize("bits", [256, 512])
def test_longer_registers_serve_as_well(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    board = load_board(BOARD)
    assert board.qemu is not None
    longer = replace(board, qemu=replace(board.qemu, cpu=board.qemu.cpu.replace("128", str(bits))))
    monkeypatch.setattr("tests.support.emulated_kernel.load_board", lambda _: longer)
    check_emulated(some(CASES, 4), BOARD)


def test_they_are_chosen_where_the_core_has_them() -> None:
    core, other = load_board(BOARD).core, load_board("qemu-riscv32").core
    assert min(kernels_of(POINTWISE, core), key=lambda kernel: kernel.instructions).variant == "conv2d_rvv"
    assert "conv2d_rvv" not in {kernel.variant for kernel in kernels_of(POINTWISE, other)}
    assert rvv.conv2d(replace(POINTWISE, latitude=Latitude()), core) is None
