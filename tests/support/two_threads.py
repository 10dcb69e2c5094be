"""Generated C for two cores, run by two threads of this machine under ThreadSanitizer."""

from __future__ import annotations

import subprocess
from pathlib import Path

_PROGRAM = r"""
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "MODEL.h"

enum { TIMES = 5 };
#define FILL(n) \
    for (int j = 0; j < PREFIX_INPUT_##n##_ELEMENTS; j++) { \
        MODEL_input_##n(&context)[j] = MODEL_input_##n(&single)[j] = (int8_t)(i * 31 + j * (7 + n)); \
    }
static MODEL_context context, single;

static void *second(void *unused)
{
    for (int i = 0; i < TIMES; i++) {
        (void)MODEL_serve(&context);
    }
    return unused;
}

int main(void)
{
    pthread_t thread;
    (void)MODEL_init(&context);
    (void)MODEL_init(&single);
    if (pthread_create(&thread, NULL, second, NULL) != 0) {
        return 3;
    }
    while (!tc_is_attended(&context.meeting)) {
    }
    int wrong = 0;
    for (int i = 0; i < TIMES; i++) {
        FILL(0)
#ifdef PREFIX_INPUT_1_ELEMENTS
        FILL(1)
#endif
#ifdef PREFIX_INPUT_2_ELEMENTS
        FILL(2)
#endif
        wrong += MODEL_invoke(&context) != PREFIX_OK || MODEL_invoke(&single) != PREFIX_OK;
        wrong += memcmp(MODEL_output_0(&context), MODEL_output_0(&single), PREFIX_OUTPUT_0_BYTES) != 0;
#ifdef PREFIX_OUTPUT_3_BYTES
        wrong += memcmp(MODEL_output_3(&context), MODEL_output_3(&single), PREFIX_OUTPUT_3_BYTES) != 0;
#endif
    }
    (void)pthread_join(thread, NULL);
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
"""


def on_two_threads(folder: Path, model: str, work: Path) -> subprocess.CompletedProcess[str]:
    """Some inferences by two threads as two cores, compared with those of one; more data races than one are as good as
    one.

    Args:
        folder: with the model's C, of up to three inputs. work: an empty one.
    """
    (work / "main.c").write_text(_PROGRAM.replace("MODEL", model).replace("PREFIX", model.upper()))
    sources = [str(work / "main.c"), f"{model}.c", f"{model}_weights.c"]
    flags = [
        "-std=gnu99",
        "-O1",
        "-g",
        "-fsanitize=thread",
        "-ffp-contract=off",
        "-I",
        str(folder),
        "-o",
        str(work / "two"),
    ]
    subprocess.run(["cc", *flags, *sources, "-lpthread", "-lm"], cwd=folder, check=True)
    options = {"TSAN_OPTIONS": "halt_on_error=1 exitcode=66", "PATH": "/usr/bin:/bin"}
    return subprocess.run([str(work / "two")], env=options, capture_output=True, text=True, check=False, timeout=600)
