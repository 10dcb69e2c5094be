"""Two contexts at the same time: one inference between any two layers of another, and from an interrupt in QEMU."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.conftest import DIGITS
from tests.reliability.programs import LAYER_DONE, SANITIZED, run_c
from tinycompile.build import Build
from tinycompile.toolchain import make

SAMPLES = np.load(DIGITS / "digits_samples.npz")


def c_array(name: str, values: np.ndarray) -> str:
    return f"static const int8_t {name}[{values.size}] = {{{', '.join(str(v) for v in values.ravel())}}};\n"


def data() -> str:
    """Two inputs and what comes out of them."""
    inputs, outputs = SAMPLES["input_0"], SAMPLES["output_0"]
    return "".join(
        c_array(f"{kind}_{which}", values[i])
        for kind, values in (("in", inputs), ("out", outputs))
        for which, i in (("a", 0), ("b", 1))
    )


COMMON = """
static int correct(digits_int8_context *context, const int8_t *in, const int8_t *out)
{
    for (uint32_t i = 0; i < DIGITS_INT8_INPUT_0_BYTES; i++) {
        digits_int8_input_0(context)[i] = in[i];
    }
    if (digits_int8_invoke(context) != DIGITS_INT8_OK) {
        return 0;
    }
    for (uint32_t i = 0; i < DIGITS_INT8_OUTPUT_0_BYTES; i++) {
        if (digits_int8_output_0(context)[i] != out[i]) {
            return 0;
        }
    }
    return 1;
}
"""

INTERLEAVED = (
    """
static digits_int8_context outer, inner;
static int interrupted_at = -1, inside, layers, failures;

"""
    + LAYER_DONE
    + """\
    if (inside) {
        return;
    }
    layers = layer + 1;
    if (layer == interrupted_at) {
        inside = 1;
        failures += !correct(&inner, in_b, out_b);
        inside = 0;
    }
}

int main(void)
{
    failures += digits_int8_init(&outer) != DIGITS_INT8_OK || digits_int8_init(&inner) != DIGITS_INT8_OK;
    failures += !correct(&outer, in_a, out_a);
    const int all = layers;
    for (interrupted_at = 0; interrupted_at < all; interrupted_at++) {
        failures += !correct(&outer, in_a, out_a);
    }
    return failures != 0 || all < 5;
}
"""
)

FIRMWARE = """\
#include "board.h"
#include "semihosting.h"
#include "../digits_int8.h"

DATA
COMMON
#define PLACES 40u
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)

static digits_int8_context context __attribute__((section(".tc_arena")));
static digits_int8_context other;
static volatile uint32_t interrupts, failures, busy;

void SysTick_Handler(void);
void SysTick_Handler(void)
{
    SYST_CSR = 0; /* once */
    interrupts += busy;
    failures += !correct(&other, in_b, out_b);
}

int main(void)
{
    board_init();
    failures += digits_int8_init(&context) != DIGITS_INT8_OK || digits_int8_init(&other) != DIGITS_INT8_OK;
    SYST_RVR = 0xFFFFFFu;
    SYST_CVR = 0;
    SYST_CSR = 5; /* on, core clock */
    while (SYST_CVR == 0u) { /* until it starts from its reload value */
    }
    const uint32_t start = SYST_CVR;
    failures += !correct(&context, in_a, out_a); /* without interruption */
    const uint32_t whole = start - SYST_CVR;
    for (uint32_t i = 1; i <= PLACES; i++) {
        SYST_CSR = 0;
        SYST_RVR = whole / (PLACES + 2u) * i;
        SYST_CVR = 0;
        busy = 1;
        SYST_CSR = 7; /* with interrupt */
        failures += !correct(&context, in_a, out_a);
        busy = 0;
    }
    if (interrupts != PLACES) {
        semihosting_print("too few interrupts\\n");
        return 2;
    }
    return failures == 0 ? 0 : 1;
}
"""


def test_an_inference_between_any_two_layers_of_another(tmp_path: Path) -> None:
    tinycompile.compile(DIGITS / "digits_int8.tflite", target="host", output=tmp_path / "out")
    head = '#include "digits_int8.h"\n'
    run_c(
        tmp_path / "out", "digits_int8", head + data() + COMMON + INTERLEAVED, tmp_path / "w", *SANITIZED, "-DTC_TRACE"
    )


@pytest.mark.parametrize("target", ["mps2-an386", "mps2-an500", "mps3-an547"])
def test_an_inference_in_an_interrupt(target: str, tmp_path: Path) -> None:
    """Cores without and with floating-point registers in use as scratch, and with vector registers."""
    build = tinycompile.compile(DIGITS / "digits_int8.tflite", target=target, output=tmp_path / "out", optimize="speed")
    program = FIRMWARE.replace("DATA", data()).replace("COMMON", COMMON)
    (build.folder / "firmware" / "main.c").write_text(program)
    (build.folder / "firmware.elf").unlink()
    makefile = build.folder / "Makefile"
    makefile.write_text(makefile.read_text().replace("STACK_BYTES ?= ", "STACK_BYTES ?= 2048 # "))
    make(build.folder, "firmware.elf")
    assert status(build) == 0


def status(build: Build) -> int:
    board = build.emulated
    assert board.qemu is not None
    command = ["qemu-system-arm", "-machine", board.qemu.machine, "-nographic", "-monitor", "none", "-serial", "none"]
    command += [
        "-semihosting-config",
        "enable=on,target=native",
        "-icount",
        "shift=5",
        "-kernel",
        build.folder / "firmware.elf",
    ]
    return subprocess.run(command, timeout=60).returncode
