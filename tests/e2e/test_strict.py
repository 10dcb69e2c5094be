"""Whole models with `--align strict`: no load or store of the firmware is unaligned, and the bits are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.conftest import DIGITS
from tests.support.alignment import alignment_plugin, check_aligned
from tests.support.emulated_kernel import run_program
from tests.support.random_model import RandomModel
from tinycompile.build import Build
from tinycompile.emulator import execute
from tinycompile.ir import Array

SAMPLES = np.load(DIGITS / "digits_samples.npz")
USER_BUFFERS = """
#include "board.h"
#include "digits_int8.h"
static digits_int8_context context;
static const int8_t image[DIGITS_INT8_INPUT_0_BYTES] = {%s};
static const int8_t expected[DIGITS_INT8_OUTPUT_0_BYTES] = {%s};
static int8_t in[DIGITS_INT8_INPUT_0_BYTES + 4], out[DIGITS_INT8_OUTPUT_0_BYTES + 4];
int main(void)
{
    board_init();
    if (digits_int8_init(&context) != DIGITS_INT8_OK) {
        return 3;
    }
    for (uint32_t i = 0; i < 16u; i++) {
        volatile int8_t *const from = in + i %% 4u; /* no memcpy of the library, which loads unaligned words */
        volatile int8_t *const to = out + i / 4u;
        for (uint32_t j = 0; j < sizeof image; j++) {
            from[j] = image[j];
        }
        if (digits_int8_run(&context, (const int8_t *)from, (int8_t *)to) != DIGITS_INT8_OK) {
            return 1;
        }
        for (uint32_t j = 0; j < sizeof expected; j++) {
            if (to[j] != expected[j]) {
                return 2;
            }
        }
    }
    return 0;
}
"""


def run_aligned(build: Build, x: Array, folder: Path) -> list[Array]:
    """The outputs, on a core that traps unaligned words and with a plugin that sees all other accesses."""
    report = folder / "alignment.txt"
    elf = build.elf("firmware_qemu.elf")
    done = execute(elf, build.emulated, [x], build.outputs, plugins=[alignment_plugin(report)], images=build.images)
    assert check_aligned(report) > x.nbytes
    return done.outputs


def c_values(values: Array) -> str:
    return ", ".join(str(v) for v in values.ravel())


def test_digits_and_buffers_of_the_user(tmp_path: Path) -> None:
    build = tinycompile.compile(DIGITS / "digits_int8.tflite", align="strict", output=tmp_path / "out")
    x, y = SAMPLES["input_0"][:2], SAMPLES["output_0"][:2]
    np.testing.assert_array_equal(run_aligned(build, x, tmp_path)[0].reshape(y.shape), y)
    run_program(USER_BUFFERS % (c_values(x[0]), c_values(y[0])), "mps2-an500", strict=True, folder=build.folder)


@pytest.mark.parametrize(
    ("seed", "target", "schedule"),
    [(1, "mps2-an500", "stream"), (2, "mps2-an386", "layer"), (4, "mps3-an547", "patch")],
)
def test_random_models(seed: int, target: str, schedule: str, tmp_path: Path) -> None:
    content, shape = RandomModel(seed).build(layers=6)
    (tmp_path / "model.tflite").write_bytes(content)
    build = tinycompile.compile(
        tmp_path / "model.tflite", target, align="strict", schedule=schedule, output=tmp_path / "out"
    )
    x = np.random.default_rng(seed).integers(-128, 128, (2, *shape)).astype(np.int8)
    expected = np.asarray(build.run(x))
    np.testing.assert_array_equal(run_aligned(build, x, tmp_path)[0].reshape(expected.shape), expected)
