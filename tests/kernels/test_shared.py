"""Kernels whose constants a wider network has: which pieces of an array another one has, and the same results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.full import also
from tests.support.kernel_checks import M7, check, check_cases
from tinycompile.ir import Quantization, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.array_pieces import Lender, as_units, coded_words
from tinycompile.kernels.base import Constant, Kernel, structured
from tinycompile.kernels.lane_shared import shared_tiles
from tinycompile.kernels.merged import merged
from tinycompile.kernels.shared import shared_kernel
from tinycompile.kernels.staged import staged
from tinycompile.ops.conv2d import Conv2D
from tinycompile.with_shared import WithShared

M3 = core_named("cortex-m3")


def constant(values, name="weights"):
    return Constant(name, f"{values.dtype.name}_t", np.ascontiguousarray(values).ravel())


def part(whole, values):
    found = Lender([constant(whole)]).part(constant(values))
    assert found is not None
    assert found[0].values.size == whole.size
    data = as_units(constant(values).values, values.dtype.itemsize).view(np.uint8)
    np.testing.assert_array_equal(found[1].of(found[0].values), data)
    return found[1]


def test_the_leading_block_of_a_matrix_takes_two_steps():
    whole = np.random.default_rng(0).integers(-128, 128, (24, 3, 3, 32)).astype(np.int8)
    pieces = part(whole, whole[:12, :, :, :16])
    assert (pieces.unit, pieces.own.size, len(pieces.executed)) == (4, 0, 2)
    assert [step.times for step in pieces.steps] == [1, 107]


def test_what_is_between_the_pieces_is_its_own():
    rng = np.random.default_rng(1)
    words = rng.integers(-(2**31), 2**31, (8, 20)).astype(np.int32)
    narrow = np.concatenate([words[:4, :12], rng.integers(0, 99, (4, 3)).astype(np.int32)], axis=1)
    pieces = part(words, narrow)
    assert (pieces.unit, pieces.own.size, pieces.fits) == (4, 12, True)
    assert len(pieces.steps) == 3


def test_odd_numbers_of_bytes_are_pieces_too():
    whole = np.random.default_rng(2).integers(-128, 128, (9, 13)).astype(np.int8)
    assert part(whole, whole[:5, :11]).unit == 1


def test_zeros_lead_nowhere():
    rng = np.random.default_rng(3)
    whole = rng.integers(-128, 128, (16, 24)).astype(np.int8) * (rng.random((16, 1)) < 0.5).astype(np.int8)
    assert part(whole, whole[:8, :16]).own.size <= 16


def test_another_array_has_nothing_of_it():
    rng = np.random.default_rng(4)
    lender = Lender([constant(rng.integers(-128, 128, 999).astype(np.int8))])
    assert lender.part(constant(rng.integers(-128, 128, 500).astype(np.int8))) is None
    assert lender.part(constant(rng.integers(-128, 128, 500).astype(np.int32))) is None
    structs = structured(a=np.arange(8, dtype=np.int32), b=np.arange(8, dtype=np.int32))
    (found, pieces) = Lender([Constant("c", "pair", structs)]).part(Constant("c", "pair", structs[:5])) or (None, None)
    assert found is not None and pieces is not None and pieces.executed[0].run == 10


def half(site: Site, channels: int, depth: int) -> Site:
    """The layer at a smaller width, with scales and biases of its own."""
    x, w, bias = site.sig.inputs
    weights = site.constant(1)[:channels, :, :, :depth]
    scales = (w.quant.scale[:channels] * np.float32(1.3)).astype(np.float32)
    types = (
        replace(x, shape=(*x.shape[:3], depth)),
        TensorType(weights.shape, w.dtype, Quantization(scales, np.zeros(channels, np.int64), 0)),
        replace(bias, shape=(channels,)),
    )
    output = replace(site.sig.output, shape=(*site.sig.output.shape[:3], channels))
    sig = replace(site.sig, inputs=types, outputs=(output,))
    return replace(site, sig=sig, constants=(None, np.ascontiguousarray(weights), site.constant(2)[:channels] + 9))


WIDE = {
    "window": layer(Conv2D(), (1, 5, 6, 16), (40, 3, 3, 16), 0, 0),
    "pixel": layer(Conv2D(), (1, 4, 5, 48), (80, 1, 1, 48), 0, 1),
    "row": layer(Conv2D(), (1, 1, 1, 96), (80, 1, 1, 96), 0, 2),
}


def sharing(name, variant, core=M7):
    """(factory, site): a kernel that shares what the widest layer's of the same kind has."""
    site = WIDE[name]
    narrow = half(site, site.sig.output.shape[3] // 2, site.sig.input.shape[3] // 2)

    def of(each, isa):
        return next(kernel for kernel in kernels_of(each, isa) if kernel.variant == variant)

    def factory(each, isa):
        found = shared_kernel(of(each, isa), Lender(of(site, isa).constants))
        return with_the_whole(found)

    return factory, narrow


def with_the_whole(kernel: Kernel) -> Kernel:
    """For tests of a single kernel, which have no other model: the lent arrays themselves."""
    constants = [c if c.lent is None or c.lent[1] else replace(c, content=c.lent[0].values) for c in kernel.constants]
    return kernel.but(constants=tuple(constants))


def tiled(name, number=0):
    """The same of those that put tiles together."""
    site = WIDE[name]
    narrow = half(site, site.sig.output.shape[3] // 2, site.sig.input.shape[3] // 2)

    def factory(each, isa):
        lenders = (Lender(kernel.constants) for kernel in kernels_of(site, isa))
        found = [kernel for lender in lenders for kernel in shared_tiles(each, isa, lender)]
        return with_the_whole(found[number])

    return factory, narrow


CASES = [
    sharing("window", "conv2d_lane"),
    sharing("pixel", "conv2d_pointwise"),
    sharing("row", "fully_connected_lane"),
    sharing("window", "conv2d_generic"),
]

TILED = [tiled("window"), tiled("pixel"), tiled("row", -1)]
"""Several tiles each."""


@pytest.mark.parametrize("case", also(*CASES))
def test_shared_constants_give_the_same_bits(case):
    factory, site = case
    kernel = check(factory, site)
    plain = next(each for each in kernels_of(site, M7) if f"{each.variant}_shared" == kernel.variant)
    assert kernel.constant_bytes <= 0.5 * plain.constant_bytes
    assert plain.instructions < kernel.instructions < 3 * plain.instructions
    assert staged(kernel) is None
    assert shared_kernel(replace(plain, function=None), Lender(())) is None


@pytest.mark.parametrize("case", also(*TILED))
def test_tiles_are_put_together_one_after_another(case):
    factory, site = case
    kernel = check(factory, site)
    whole = next(each for each in kernels_of(site, M7) if each.constant_bytes > kernel.constant_bytes)
    assert kernel.copies is None and kernel.constant_bytes < whole.constant_bytes


@pytest.mark.parametrize("cases", also([*CASES[:3], *TILED]))
def test_shared_constants_on_the_core(cases):
    check_emulated(cases, strict=True)
    check_emulated([sharing("window", "conv2d_block", M3), regrouped()], "mps2-an385", strict=True)


def regrouped():
    """(factory, site): a stream of groups from the widest layer's weights; the longest and the shortest groups."""
    site = WIDE["window"]
    weights = site.constant(1).copy()
    weights[0], weights[1, :, :, :8], weights[2], weights[3, 0] = 0, 1, -127, 127
    weights[4, 1], weights[5] = [-128, 0] * 24, np.sign(weights[5])
    wide = replace(site, constants=(None, weights, site.constant(2)))
    narrow = half(wide, 20, 8)

    def factory(each, isa):
        whole, kernel = (next(k for k in kernels_of(s, isa) if k.variant == "conv2d_packed") for s in (wide, each))
        found = shared_kernel(kernel, Lender(whole.constants))
        assert found is not None and found.constant_bytes < 0.2 * kernel.constant_bytes
        return with_the_whole(found)

    return factory, narrow


def test_functions_for_several_shapes_give_the_same_bits():
    site = WIDE["window"]
    sites = [site, half(site, 20, 8)]
    plain = [next(k for k in kernels_of(each, M7) if k.variant == "conv2d_lane") for each in sites]
    functions = [kernel.function for kernel in plain if kernel.function is not None]
    found = merged(functions)
    assert found.keys() == set(functions) and len({callee for each in found.values() for callee in each.callees}) == 1
    assert not merged(functions[:1])
    kernels = [kernel.but(function=found[function]) for kernel, function in zip(plain, functions, strict=True)]
    assert all("numbers[]" in found[function].body for function in functions)
    check_cases([(lambda *_, made=kernel: made, each) for kernel, each in zip(kernels, sites, strict=True)])


def test_own_words_are_decoded_to_what_they_were():
    rng = np.random.default_rng(5)
    near = rng.integers(-140, 140, 40) - 4_000_000
    words = np.concatenate([near, rng.integers(-(2**31), 2**31, 9), rng.integers(-(2**23), 2**23, 9), [-4_000_000] * 5])
    words = words[rng.permutation(words.size)].astype(np.int32)
    coded, at, found = coded_words(words).tolist(), 4, list[int]()
    usual = int.from_bytes(bytes(coded[:4]), "little", signed=True)
    for first in range(0, words.size, 4):
        sizes, at = coded[at], at + 1
        for number in range(min(4, words.size - first)):
            size = sizes >> 2 * number & 3
            count = (0, 1, 3, 4)[size]
            value = int.from_bytes(bytes(coded[at : at + count]), "little", signed=True)
            found.append(value + usual if size < 2 else value)
            at += count
    assert found == words.tolist() and at == len(coded) < 4 * words.size


def test_first_channels_are_read_where_they_are():
    site = layer(Conv2D(), (1, 5, 6, 8), (24, 3, 3, 8), 0, 0)
    narrow = half(site, 12, 8)
    wide = next(each for each in kernels_of(site, M3) if each.variant == "conv2d_generic")
    plain = next(each for each in kernels_of(narrow, M3) if each.variant == "conv2d_generic")
    kernel = shared_kernel(plain, Lender(wide.constants))
    assert kernel is not None
    assert (kernel.function, kernel.scratch_bytes, kernel.instructions) == (plain.function, 0, plain.instructions)
    assert kernel.constants[0].lent == (wide.constants[0], 0)
    assert plain.constant_bytes - kernel.constant_bytes == 12 * 9 * 8 == kernel.read_bytes - kernel.constant_bytes


def test_kernels_that_could_share_and_do_not_cost_what_that_would_save():
    site = WIDE["window"]
    narrow = half(site, 12, 8)
    wide = min(kernels_of(site, M7), key=lambda each: each.price)
    offered = WithShared(kernels_of, Lender(wide.constants, [wide]))(narrow, M7)
    least = min(offered, key=lambda each: each.codable)
    assert least.codable == 0 and least.variant.endswith("_shared")
    codable = {each.variant: each.codable for each in offered}
    assert codable["conv2d_lane"] > codable["conv2d_lane_shared"]
    other = WithShared(kernels_of, Lender(()), lean=False)(narrow, M7)
    assert all(each.codable == 0 for each in other)
