"""Kernels whose constants are coded: the same results, and a decoder that no words lead astray."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, check, int8
from tinycompile.ir import TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Constant, Function, Kernel, Sweeps, decodings
from tinycompile.kernels.coded import HEADERS, TABLE_BYTES, TABLE_HEADER, Code, coded_kernels
from tinycompile.kernels.staged import staged
from tinycompile.numerics.prefix_code import coded, decoded
from tinycompile.numerics.table_code import decoded as table_decoded
from tinycompile.ops.conv2d import Conv2D
from tinycompile.with_codes import WithCodes

M0 = core_named("cortex-m0plus")


def narrow(x, weights, seed=0, spread=6.0):
    """A layer whose weights are near zero, as trained ones are."""
    site = layer(Conv2D(), x, weights, 0, seed)
    values = np.random.default_rng(seed).normal(0, spread, weights).round().clip(-127, 127).astype(np.int8)
    return replace(site, constants=(None, values, *site.constants[2:]))


SITES = [narrow((1, 3, 3, 16), (34, 2, 2, 16)), narrow((1, 1, 1, 60), (40, 1, 1, 60), 1)]


def coding(number):
    """A factory: the kernel that was offered at this place, coded."""

    def factory(site, core):
        made = [each for kernel in kernels_of(site, core) for each in coded_kernels(kernel)]
        return made[number] if number < len(made) else None

    return factory


@pytest.mark.parametrize("core", [M7, M0], ids=["m7", "m0plus"])
@pytest.mark.parametrize("site", SITES, ids=["convolution", "row"])
def test_coded_constants_give_the_same_bits(site, core):
    kernel = check(coding(0), site, core)
    plain = next(each for each in kernels_of(site, core) if f"{each.variant}_coded" == kernel.variant)
    assert kernel.coding.plain_bytes <= plain.constant_bytes
    assert plain.constant_bytes - kernel.constant_bytes == kernel.coding.plain_bytes - kernel.coding.coded_bytes
    assert kernel.coding.entropy_bytes < kernel.coding.coded_bytes < kernel.coding.plain_bytes
    assert (kernel.sweeps, kernel.overlap) == (Sweeps(1), plain.overlap)
    assert coded_kernels(kernel) == []
    assert staged(kernel) is None


def test_coded_constants_on_the_core():
    check_emulated([(coding(number), site) for site in SITES for number in (0, 1)][:3], strict=True)
    tables = [(tabled(0), CLUSTERED[1]), (tabled(-1), CLUSTERED[2])]
    check_emulated([*((tile(number), site) for site in TILED for number in (0, -1)), *tables])


def test_codes_that_save_less_than_their_functions_take_are_left_out():
    """Beside a kernel that is about as fast, with much less code."""
    site = narrow((1, 3, 3, 16), (64, 3, 3, 16), spread=3.0)
    fast = min(kernels_of(site, M0), key=lambda each: each.price)
    large, lean = (replace(fast, variant=name, code_bytes=size) for name, size in (("large", 9000), ("lean", 300)))
    lean = replace(lean, instructions=1 + fast.instructions, cycles=None if fast.cycles is None else 1 + fast.cycles)
    offered = {each.variant: each for each in WithCodes(lambda *_: [large, lean], wanted=True)(site, M0)}
    assert "lean_coded" in offered and "large_coded" not in offered
    assert offered["lean"].codable == offered["large"].codable == plain_less_coded(offered["lean_coded"]) > 0
    alone = {each.variant: each for each in WithCodes(lambda *_: [large], wanted=True)(site, M0)}
    assert "large_coded" in alone


def plain_less_coded(kernel):
    return kernel.coding.plain_bytes - kernel.coding.coded_bytes


TILED = [
    narrow((1, 4, 5, 24), (70, 1, 1, 24)),  # several tiles of pixels' weights
    narrow((1, 5, 4, 9), (33, 2, 3, 9), 1),  # windows, an odd number of channels
    narrow((1, 1, 1, 61), (90, 1, 1, 61), 2),  # one row
    narrow((1, 1, 3, 24), (100, 1, 1, 24), 3),  # rows
]


def tile(number):
    """A factory: one of the kernels that decode tile by tile; from the end where `number` is below 0."""

    def factory(site, core):
        return list(decodings(site, core))[number]

    return factory


@pytest.mark.parametrize("site", TILED[1:3], ids=["convolution", "row"])
def test_tiles_are_decoded_one_after_another(site):
    kernel = check(tile(0 if site is TILED[1] else -1), site)
    whole = next(made for kernel in kernels_of(site, M7) for made in coded_kernels(kernel))
    assert kernel.scratch_bytes < whole.scratch_bytes
    assert kernel.constant_bytes == kernel.coding.coded_bytes
    assert kernel.copies is None


@pytest.mark.parametrize(
    ("values", "of_shapes"),
    [
        (np.arange(700).astype(np.uint8).view(np.int8), False),  # all bytes about as often
        (np.zeros(500, np.int8), False),  # too few
        (np.zeros(5000, np.int8), True),  # layers share it
    ],
)
def test_what_a_code_makes_no_smaller_stays(values, of_shapes):
    constant = Constant("weights", "int8_t", values, of_shapes=of_shapes)
    assert Code.prefix(constant) is None
    assert Code.table(constant) is None
    kernel = Kernel(
        "plain", Function("f", ("const int8_t *weights",), ""), (Constant("weights", "int8_t", values[:500]),)
    )
    assert coded_kernels(kernel) == []


def clustered(x, weights, values, seed=0):
    """A layer whose weights have so many different values."""
    site, rng = layer(Conv2D(), x, weights, 0, seed), np.random.default_rng(seed)
    some = rng.choice(np.arange(-127, 128), values, replace=False).astype(np.int8)
    return replace(site, constants=(None, some[rng.integers(0, values, weights)], *site.constants[2:]))


CLUSTERED = [
    clustered((1, 2, 3, 16), (34, 2, 2, 16), 16),
    clustered((1, 5, 4, 9), (33, 2, 3, 9), 4, 1),  # an odd number of channels
    clustered((1, 1, 1, 61), (90, 1, 1, 61), 16, 2),  # rows with padding
]


@pytest.mark.parametrize(
    ("core", "site"), [(M7, CLUSTERED[0]), (M7, CLUSTERED[2]), (M0, CLUSTERED[1])], ids=["m7", "m7 row", "m0plus"]
)
def test_few_values_are_indices_that_take_half_of_the_bytes_or_a_quarter(core, site):
    made = next(each for kernel in kernels_of(site, core) for each in coded_kernels(kernel) if is_table(each))
    plain = next(each for each in kernels_of(site, core) if f"{each.variant}_table_coded" == made.variant)
    values = np.unique(site.constants[1]).size
    assert made.coding.coded_bytes < (0.66 if values > 4 else 0.5) * made.coding.plain_bytes
    assert plain.price < made.price < plain.price + 4 * made.coding.plain_bytes + 2500
    check(lambda *_: made, site, core)


def is_table(kernel):
    return kernel.variant.endswith("_table_coded")


def tabled(number):
    """A factory: a kernel that decodes indices tile by tile."""
    return lambda site, core: [each for each in decodings(site, core) if is_table(each)][number]


@pytest.mark.parametrize("site", CLUSTERED[1:], ids=["convolution", "row"])
def test_indices_are_decoded_tile_by_tile(site):
    kernel = check(tabled(0), site)
    assert kernel.coding.coded_bytes == kernel.constant_bytes


def test_other_values_have_no_indices():
    spread = narrow((1, 3, 3, 16), (34, 2, 2, 16))
    assert not any(is_table(each) for kernel in kernels_of(spread, M7) for each in coded_kernels(kernel))


def table_decoder(words, size, bits, is_signed, pieces):
    """As `decoder`, of indices into tables."""
    form = f"{bits}u, {is_signed}u"
    lines = [f"    tc_table_coded code = tc_table_coded_begin(code_0, {words.size}u, {form}, (uint16_t *)scratch);"]
    piece = size // pieces
    lines += [f"    tc_table_coded_next(&code, output + {at}, {piece}u, {bits}u);" for at in range(0, size, piece)]
    parameters = ("int8_t *output", "const uint32_t *code_0", "void *scratch")
    function = Function("decode", parameters, "\n".join(lines) + "\n", (TABLE_HEADER,))
    return Kernel("decode", function, (Constant("code", "uint32_t", words),), scratch_bytes=512)


@pytest.mark.parametrize(("bits", "is_signed"), [(4, 1), (2, 0)])
@pytest.mark.parametrize("words", [100, 12, 8], ids=["random", "cut off", "no runs"])
def test_any_words_are_indices_as_the_definition_says(words, bits, is_signed):
    code = np.random.default_rng(words).integers(0, 2**32, words, np.uint32)
    code[8:] &= 0x0003_0007
    found = run_kernel(
        table_decoder(code, 400, bits, is_signed, 1), [], TensorType((400,), int8((1,)).dtype), sanitize=True
    )
    np.testing.assert_array_equal(found.view(np.uint8), table_decoded(code, bits, 400, signed=bool(is_signed)))


def decoder(words, size, pieces):
    """A kernel that decodes `size` bytes in so many pieces."""
    piece = -(-size // pieces)
    lines = [f"    tc_coded code = tc_coded_begin(code_0, {words.size}u, (uint16_t *)scratch);"]
    lines += [f"    tc_coded_next(&code, output + {at}, {min(piece, size - at)}u);" for at in range(0, size, piece)]
    parameters = ("int8_t *output", "const uint32_t *code_0", "void *scratch")
    function = Function("decode", parameters, "\n".join(lines) + "\n", HEADERS)
    return Kernel("decode", function, (Constant("code", "uint32_t", words),), scratch_bytes=TABLE_BYTES)


RNG = np.random.default_rng(2)


@pytest.mark.parametrize(
    "words",
    [
        coded(RNG.normal(0, 10, 300).round().astype(np.int8).view(np.uint8)),  # ends before the 400 bytes wanted
        RNG.integers(0, 2**32, 40, np.uint32),  # more codes than there is room for, lengths that can't be
        np.zeros(34, np.uint32),  # no codes
    ],
    ids=["cut off", "random", "none"],
)
def test_any_words_are_decoded_as_the_definition_says(words):
    found = run_kernel(decoder(words, 400, 3), [], TensorType((400,), int8((1,)).dtype), sanitize=True)
    np.testing.assert_array_equal(found.view(np.uint8), decoded(words, 400))
