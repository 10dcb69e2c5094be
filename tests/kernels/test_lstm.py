"""Long short-term memory in C against its definition, and its functions over all of int16."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.full import also, some
from tests.support.kernel_checks import M7
from tests.support.lstm_models import LstmForm, lstm_site
from tests.support.several_results import check_results, first_result
from tinycompile.ir import Site
from tinycompile.kernels.base import Factory
from tinycompile.kernels.lstm import lstm, lstm_lanes, lstm_lanes_table, lstm_pairs_table, lstm_wide
from tinycompile.kernels.sigmoid16 import table_constants
from tinycompile.numerics import fixed_point_int16
from tinycompile.resources import runtime_dir

M0 = core_named("cortex-m0")
FORMS = [
    LstmForm(),
    LstmForm(time_major=True, batch=2, cell_clip=0.4, power=-12),
    LstmForm(inputs=9, cells=13, power=-9, cell_clip=16.0),
    LstmForm(inputs=1, cells=1, steps=1, power=-15),
    LstmForm(inputs=17, cells=12, power=-14, gain=8.0),
]
SPECIAL = [
    LstmForm(coupled=True, batch=2),
    LstmForm(peephole=True),
    LstmForm(outputs=5, hidden=(0.007, 9), projection_clip=0.5),
    LstmForm(outputs=7, coupled=True, peephole=True),
]
NORMALISED = [
    LstmForm(normalised=True, outputs=20, cells=20, coupled=True, peephole=True, batch=2),
    LstmForm(normalised=True, outputs=5, hidden=(0.007, 9), gain=8.0, gate_scale=2.0**-13),
    LstmForm(normalised=True, cells=50, gate_scale=2.0**-9, weights=(119, 121)),
]
SIMD = [lstm_lanes, lstm_lanes_table, lstm_pairs_table]


@pytest.mark.parametrize(
    "form", [FORMS[1], *SPECIAL[2:], NORMALISED[0], *also(FORMS[0], *SPECIAL[:2], *NORMALISED[1:])]
)
def test_plain_c(form: LstmForm) -> None:
    check_results(lstm, lstm_site(form), M0)


@pytest.mark.parametrize(
    ("factory", "form"), some([(factory, form) for factory in SIMD for form in (*FORMS[1:3], FORMS[4])])
)
def test_simd(factory: Factory, form: LstmForm) -> None:
    """Its portable twin."""
    check_results(factory, lstm_site(form))


@pytest.mark.parametrize("factory", [lstm, lstm_lanes])
def test_arithmetic_of_tflm(factory: Factory) -> None:
    check_results(factory, lstm_site(LstmForm(inputs=12, cells=20, cell_clip=1.0, batch=2, gain=8.0), match="tflm"))


def test_16_bit_sequences() -> None:
    check_results(lstm_wide, lstm_site(LstmForm("int16", time_major=True, batch=2, power=-12), match="tflm"))


@pytest.mark.parametrize(
    ("form", "distance"),
    [
        (LstmForm(inputs=28, cells=20, steps=28), -8),  # a step's results are in front of the next step
        (LstmForm(inputs=5, cells=9, steps=7), 6 * (9 - 5)),  # each step takes more than it leaves
        (LstmForm(inputs=9, cells=9, steps=1), 0),
        (
            LstmForm(inputs=5, cells=5, steps=3, batch=2, time_major=True),
            2 * 5 * (3 - 1),
        ),  # the other sequence's steps lie between
    ],
)
def test_results_in_the_memory_of_the_sequence(form: LstmForm, distance: int) -> None:
    found = lstm(lstm_site(form), M7)
    assert found is not None and found.overlap == {0: distance}


def test_simd_kernels_know_what_they_are_for() -> None:
    for form in (*SPECIAL, *NORMALISED):
        assert not any(factory(lstm_site(form), M7) for factory in SIMD)
    assert lstm_lanes_table(lstm_site(LstmForm(), match="tflm"), M7) is None
    assert lstm_pairs_table(lstm_site(LstmForm(inputs=400, cells=20)), M7) is None


def cases() -> list[tuple[Factory, Site]]:
    """Of the strict alignment's test, too."""
    found = [(factory, form) for factory in SIMD for form in (FORMS[0], FORMS[2], FORMS[4])]
    found += [(lstm, form) for form in (FORMS[1], SPECIAL[3], *NORMALISED[::2])]
    found.append((lstm_wide, LstmForm("int16")))
    return first_result([(factory, lstm_site(form)) for factory, form in found])


def test_assembly() -> None:
    check_emulated(cases())


PROGRAM = """
#include <stdio.h>
#include "kernels/tc_sigmoid16.h"
int main(void)
{
    static int16_t low[4097], values[65536];
    static uint32_t rest[4097];
    if (fread(low, 2, 4097, stdin) != 4097 || fread(rest, 4, 4097, stdin) != 4097) return 1;
    const tc_sigmoid16_table tables[2] = {{NULL, NULL}, {low, rest}};
    for (int32_t table = 0; table < 2; table++)
        for (int32_t bits = -1; bits <= 6; bits++) {
            const tc_sigmoid16_table *t = &tables[table];
            for (int32_t x = -32768; x < 32768; x++)
                values[x + 32768] = (int16_t)(bits < 0 ? tc_logistic16(x, t) : tc_tanh16(x, bits, t));
            if (fwrite(values, 2, 65536, stdout) != 65536) return 2;
        }
    return 0;
}
"""


def test_functions_over_all_of_int16(tmp_path: Path) -> None:
    """Computed and looked up."""
    source, binary = tmp_path / "functions.c", tmp_path / "functions"
    source.write_text(PROGRAM)
    subprocess.run(["gcc", "-O2", "-fsanitize=undefined", f"-I{runtime_dir()}", source, "-o", binary], check=True)
    table = b"".join(constant.values.tobytes() for constant in table_constants())
    done = subprocess.run([binary], input=table, stdout=subprocess.PIPE, check=True)
    found, x = np.frombuffer(done.stdout, np.int16).reshape(2, 8, 65536), np.arange(-32768, 32768)
    expected = [fixed_point_int16.logistic(x), *(fixed_point_int16.tanh(x, bits) for bits in range(7))]
    for way in found:
        np.testing.assert_array_equal(way, np.stack(expected))
