"""What invoke, run and check return: on this machine, under ASan and UBSan, in debug builds and in plain ones."""

from __future__ import annotations

from pathlib import Path

import pytest

import tinycompile
from tests.conftest import DIGITS
from tests.reliability.programs import LAYER_DONE, SANITIZED, run_c

HEAD = """\
#define _GNU_SOURCE
#include "digits_int8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(condition) \\
    do { \\
        if (!(condition)) { \\
            (void)printf("line %d: %s\\n", __LINE__, #condition); \\
            exit(1); \\
        } \\
    } while (0)

static digits_int8_context context;
"""

ARGUMENTS = """
int main(void)
{
    static uint64_t memory[sizeof(digits_int8_context) / 8u + 2u];
    static int8_t in[DIGITS_INT8_INPUT_0_BYTES];
    static int8_t out[DIGITS_INT8_OUTPUT_0_BYTES];
    EXPECT(digits_int8_invoke(NULL) == DIGITS_INT8_ERROR_NULL);
    EXPECT(digits_int8_check(NULL) == DIGITS_INT8_ERROR_NULL);
    EXPECT(digits_int8_run(NULL, in, out) == DIGITS_INT8_ERROR_NULL);
    EXPECT(digits_int8_run(&context, NULL, out) == DIGITS_INT8_ERROR_NULL);
    EXPECT(digits_int8_run(&context, in, NULL) == DIGITS_INT8_ERROR_NULL);
    EXPECT(digits_int8_input_0(NULL) == NULL && digits_int8_output_0(NULL) == NULL);
    for (uintptr_t shift = 1; shift < 8; shift++) {
        digits_int8_context *const crooked = (digits_int8_context *)((uintptr_t)memory + shift);
        EXPECT(digits_int8_invoke(crooked) == DIGITS_INT8_ERROR_ALIGNMENT);
        EXPECT(digits_int8_init(crooked) == DIGITS_INT8_ERROR_ALIGNMENT);
        EXPECT(digits_int8_check(crooked) == DIGITS_INT8_ERROR_ALIGNMENT);
        EXPECT(digits_int8_run(crooked, in, out) == DIGITS_INT8_ERROR_ALIGNMENT);
    }
    for (uint32_t i = 0; i < sizeof memory / 8u; i++) {
        EXPECT(memory[i] == 0u); /* nothing was written there */
    }
    EXPECT(digits_int8_invoke(&context) == DIGITS_INT8_ERROR_INIT);
    EXPECT(digits_int8_init(&context) == DIGITS_INT8_OK);
    EXPECT(digits_int8_check(&context) == DIGITS_INT8_OK);
    EXPECT(digits_int8_invoke(&context) == DIGITS_INT8_OK);
    EXPECT(digits_int8_check_abi(&context, DIGITS_INT8_ABI ^ 1u, sizeof context) == DIGITS_INT8_ERROR_ABI);
    EXPECT(digits_int8_check_abi(&context, DIGITS_INT8_ABI, sizeof context + 8u) == DIGITS_INT8_ERROR_ABI);
    return 0;
}
"""

BUFFERS = """
#include <sys/mman.h>

/* The input ends at the end of a page that can't be written, before one that can't be read. */
int main(void)
{
    EXPECT(digits_int8_init(&context) == DIGITS_INT8_OK);
    char *const pages = (char *)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static int8_t results[9][DIGITS_INT8_OUTPUT_0_BYTES + 9];
    for (uint32_t i = 0; i < 4096u; i++) {
        pages[i] = (char)(i * 31u);
    }
    EXPECT(mprotect(pages, 4096, PROT_READ) == 0 && mprotect(pages + 4096, 4096, PROT_NONE) == 0);
    static int8_t copy[DIGITS_INT8_INPUT_0_BYTES];
    for (uint32_t shift = 0; shift < 9u; shift++) {
        const int8_t *const input = (const int8_t *)pages + 4096 - DIGITS_INT8_INPUT_0_BYTES - shift;
        memcpy(copy, input, sizeof copy);
        EXPECT(digits_int8_run(&context, input, results[shift] + shift) == DIGITS_INT8_OK);
        EXPECT(digits_int8_run(&context, copy, results[shift]) == DIGITS_INT8_OK);
        memcpy(digits_int8_input_0(&context), copy, sizeof copy);
        EXPECT(digits_int8_invoke(&context) == DIGITS_INT8_OK);
        EXPECT(memcmp(digits_int8_output_0(&context), results[shift], DIGITS_INT8_OUTPUT_0_BYTES) == 0);
    }
    return 0;
}
"""

GUARD = (
    """
static int layers, strikes_at;
static uint8_t *victim;
"""
    + LAYER_DONE
    + """\
    layers = layer + 1;
    if (layer == strikes_at) {
        *victim ^= 0x10;
    }
}

int main(void)
{
    strikes_at = -1;
    EXPECT(digits_int8_init(&context) == DIGITS_INT8_OK);
    EXPECT(digits_int8_invoke(&context) == DIGITS_INT8_OK);
    const int all = layers;
    uint8_t *const first = (uint8_t *)context.guard_below, *const after = (uint8_t *)context.guard_above;
    const size_t last = sizeof context.guard_below - 1;
    uint8_t *const places[4] = {first, first + last, after, after + last};
    for (int place = 0; place < 4; place++) {
        victim = places[place];
        for (strikes_at = 0; strikes_at < all; strikes_at++) { /* a layer that writes beyond the arena */
            EXPECT(digits_int8_init(&context) == DIGITS_INT8_OK);
            EXPECT(digits_int8_invoke(&context) == DIGITS_INT8_ERROR_GUARD);
            EXPECT(layers == strikes_at + 1); /* found at once */
        }
        strikes_at = -1;
        EXPECT(digits_int8_init(&context) == DIGITS_INT8_OK);
        EXPECT(digits_int8_invoke(&context) == DIGITS_INT8_OK);
        *victim ^= 1; /* the application, between two inferences */
        EXPECT(digits_int8_check(&context) == DIGITS_INT8_ERROR_GUARD);
        EXPECT(digits_int8_invoke(&context) == DIGITS_INT8_ERROR_GUARD);
    }
    return 0;
}
"""
)

MIXED = """
digits_int8_status check_of_the_caller(void);
int main(void)
{
    EXPECT(digits_int8_check(&context) == DIGITS_INT8_ERROR_ABI); /* this file has TC_DEBUG, the model hasn't */
    return 0;
}
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("status") / "out"
    tinycompile.compile(DIGITS / "digits_int8.tflite", target="host", output=folder)
    return folder


@pytest.mark.parametrize("flags", [SANITIZED, [*SANITIZED, "-DTC_DEBUG"], ["-O2"]], ids=["sanitized", "debug", "plain"])
def test_bad_arguments_are_refused(digits: Path, tmp_path: Path, flags: list[str]) -> None:
    run_c(digits, "digits_int8", HEAD + ARGUMENTS.replace("(digits_int8_context *)((", "(void *)(("), tmp_path, *flags)


@pytest.mark.parametrize("flags", [["-O2"], [*SANITIZED, "-DTC_DEBUG"]], ids=["plain", "debug"])
def test_buffers_of_any_alignment_that_are_never_written(digits: Path, tmp_path: Path, flags: list[str]) -> None:
    run_c(digits, "digits_int8", HEAD + BUFFERS, tmp_path, *flags)


def test_writes_beyond_the_arena_are_found_at_the_layer(digits: Path, tmp_path: Path) -> None:
    run_c(digits, "digits_int8", HEAD + GUARD, tmp_path, "-O1", "-DTC_DEBUG", "-DTC_TRACE")


def test_another_header_is_found(digits: Path, tmp_path: Path) -> None:
    run_c(digits, "digits_int8", "#define TC_DEBUG\n" + HEAD + MIXED, tmp_path, "-O1")
