"""Kernels of TFLM's signal operators against their definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.ops.signal_models import signal_sites
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.full import FULL, some
from tests.support.kernel_checks import M7, check, site_of
from tests.support.several_results import check_results, first_result
from tinycompile.dtypes import FLOAT32, INT16
from tinycompile.ir import Site, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.signal_fft import fourier_fully_connected, signal_fft, signal_fft_pairs, signal_fft_steps
from tinycompile.kernels.signals import (
    signal_energy,
    signal_fft_auto_scale,
    signal_filter_bank,
    signal_filter_bank_log,
    signal_filter_bank_spectral_subtraction,
    signal_filter_bank_square_root,
    signal_framer,
    signal_overlap_add,
    signal_pcan,
    signal_stacker,
    signal_window,
)
from tinycompile.ops.fully_connected import FullyConnected

M3 = core_named("cortex-m3")
FACTORIES: list[Factory] = [
    signal_energy,
    signal_filter_bank,
    signal_filter_bank_log,
    signal_filter_bank_square_root,
    signal_pcan,
    signal_window,
]
SEVERAL: list[Factory] = [
    signal_fft_auto_scale,
    signal_filter_bank_spectral_subtraction,
    signal_framer,
    signal_overlap_add,
    signal_stacker,
]


def sites(factory: Factory) -> list[Site]:
    return signal_sites(factory.__name__)


def transforms() -> list[tuple[Factory, Site]]:
    """Of both kinds; those of words first."""
    every = [*signal_sites("signal_rfft"), *signal_sites("signal_irfft")]
    words = [site for site in every if site.sig.input.dtype == INT16 and signal_fft_pairs(site, M7) is not None]
    return [*((signal_fft_pairs, site) for site in words), *((signal_fft, site) for site in every)]


def steps() -> list[tuple[Factory, Site]]:
    """Of cores without dual products."""
    return [(signal_fft_steps, site) for factory, site in transforms() if factory is signal_fft_pairs]


def single() -> list[tuple[Factory, Site]]:
    return [*((factory, site) for factory in FACTORIES for site in sites(factory)), *transforms()]


def fourier(samples: int, length: int, rows: int = 2) -> Site:
    """A product with the matrix that STFT is made into."""
    window = np.random.default_rng(length).uniform(0.1, 1, samples)
    angles = -2 * np.pi / length * np.outer(np.arange(length // 2 + 1), np.arange(samples))
    matrix = (np.stack([np.cos(angles), np.sin(angles)], 1).reshape(length + 2, samples) * window).astype(np.float32)
    x, w = TensorType((rows, samples), FLOAT32), TensorType(matrix.shape, FLOAT32)
    return site_of(FullyConnected(), [x, w], [None, matrix], TensorType((), FLOAT32))


def fouriers() -> list[tuple[Factory, Site]]:
    return [(fourier_fully_connected, fourier(*each)) for each in ((64, 64), (50, 60), (13, 32))]


def several() -> list[tuple[Factory, Site]]:
    """Of the strict alignment's test, too."""
    return first_result([(factory, site) for factory in SEVERAL for site in sites(factory)])


def test_on_this_machine() -> None:
    """Under the sanitisers."""
    cases = [*single(), *((factory, site) for factory in SEVERAL for site in sites(factory))]
    cases = [case for case in cases if case[1].sig.input.dtype != FLOAT32]  # whose sums have another order
    for factory, site in cases if FULL else cases[:: len(cases)]:
        (check_results if factory in SEVERAL else check)(factory, site)
    for factory, site in steps() if FULL else []:
        check(factory, site, M3)


def test_dual_products() -> None:
    check_emulated(some([*single(), *several(), *fouriers()], 100))


def test_what_is_no_fourier_transform() -> None:
    site = fourier(12, 16)
    assert fourier_fully_connected(site, M7) is not None
    for change in ((0, 3), (1, 2), (7, 5)):
        matrix = site.constant(1).copy()
        matrix[change] += np.float32(1e-4)
        assert fourier_fully_connected(replace(site, constants=(None, matrix)), M7) is None
    assert fourier_fully_connected(fourier(10, 14), M7) is None, "7 is no factor of a fast one"


def test_portable_twins_of_dual_products() -> None:
    check_emulated(some([*single(), *several()], 100), "mps2-an385", isa=M7)


def test_cores_without() -> None:
    """Nor long products."""
    cases = [*steps(), *((factory, site) for factory in FACTORIES for site in sites(factory))]
    core = ("-mcpu=cortex-m0plus", "-mthumb")
    check_emulated(some(cases, 100), "mps2-an385", core=core, isa=core_named("cortex-m0"))
