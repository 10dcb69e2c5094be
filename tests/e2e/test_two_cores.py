"""Two cores: the same bytes as one, in QEMU and here; no data race, by ThreadSanitizer; what they aren't for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.conftest import DIGITS
from tests.support.full import FULL
from tinycompile.build import Build
from tinycompile.errors import TargetError, UsageError

MODEL = DIGITS / "digits_int8.tflite"
PROGRAM = r"""
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "digits_int8.h"

enum { TIMES = 20 };
static digits_int8_context context, single;

static void *second(void *unused)
{
    for (int i = 0; i < TIMES; i++) {
        (void)digits_int8_serve(&context);
    }
    return unused;
}

int main(void)
{
    pthread_t thread;
    (void)digits_int8_init(&context);
    (void)digits_int8_init(&single);
    if (pthread_create(&thread, NULL, second, NULL) != 0) {
        return 3;
    }
    while (!tc_is_attended(&context.meeting)) {
    }
    int wrong = 0;
    for (int i = 0; i < TIMES; i++) {
        for (int j = 0; j < DIGITS_INT8_INPUT_0_ELEMENTS; j++) {
            digits_int8_input_0(&context)[j] = digits_int8_input_0(&single)[j] = (int8_t)(i * 31 + j * 7);
        }
        wrong += digits_int8_invoke(&context) != DIGITS_INT8_OK || digits_int8_invoke(&single) != DIGITS_INT8_OK;
        wrong += memcmp(digits_int8_output_0(&context), digits_int8_output_0(&single), DIGITS_INT8_OUTPUT_0_BYTES) != 0;
    }
    (void)pthread_join(thread, NULL);
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("cores") / "out"
    return tinycompile.compile(MODEL, "host", output=folder, cores=2, pareto=False)


def threads(folder: Path, work: Path) -> subprocess.CompletedProcess[str]:
    """Two threads as two cores, under ThreadSanitizer; more data races than one are as good as one."""
    (work / "main.c").write_text(PROGRAM)
    sources = [str(work / "main.c"), "digits_int8.c", "digits_int8_weights.c"]
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
    return subprocess.run([str(work / "two")], env=options, capture_output=True, text=True, check=False, timeout=60)


def test_threads_compute_the_same_without_a_race(host: Build, tmp_path: Path) -> None:
    ran = threads(host.folder, tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "0 wrong\n"), ran.stderr


@pytest.mark.skipif(not FULL, reason="builds once more: test-full")
def test_a_meeting_that_is_missing_is_a_race(host: Build, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    copy.mkdir()
    for file in (*host.folder.glob("*.[ch]"), *host.folder.glob("tinycompile/*.h")):
        (copy / file.relative_to(host.folder)).parent.mkdir(exist_ok=True)
        (copy / file.relative_to(host.folder)).write_text(file.read_text())
    code = copy / "digits_int8.c"
    text = code.read_text()
    assert len(re.findall(r"^    meet\(context, core\);$", text, re.MULTILINE)) >= 3
    code.write_text(re.sub(r"^    meet\(context, core\);$", "", text, flags=re.MULTILINE))
    ran = threads(copy, tmp_path)
    assert ran.returncode != 0  # 66 for a race, 1 for other bytes


def test_in_qemu(host: Build, tmp_path: Path) -> None:
    build = tinycompile.compile(MODEL, "mps2-an521", output=tmp_path / "out", cores=2, pareto=False)
    x = np.random.default_rng(1).integers(-128, 128, (3, *build.inputs[0].shape)).astype(np.int8)
    assert np.array_equal(build.run(x, on="qemu"), build.run(x))
    divided = [layer for layer in build.report["layers"] if "cores" in layer["notes"]]
    assert len(divided) >= 5
    assert build.report["options"]["cores"] == 2
    for firmware in ("main", "main_console"):
        text = (build.folder / "firmware" / f"{firmware}.c").read_text()
        assert "if (start_second_core(digits_int8_second_core) != 0)" in text, firmware


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cores": 3}, "none of 1 and 2"),
        ({"cores": 2, "steps": "5%"}, "doesn't go with --steps"),
        ({"cores": 2, "weights": "separate"}, "doesn't go with --weights"),
        ({"cores": 2, "schedule": "stream"}, "doesn't go with --schedule"),
        ({"cores": 2, "input_stream": "rows"}, "doesn't go with --input-stream"),
    ],
)
def test_what_does_not_go_together(options: dict[str, str], text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=text):
        tinycompile.compile(MODEL, "mps2-an521", output=tmp_path / "out", **options)  # pyright: ignore[reportArgumentType]


def test_boards_with_one_core_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no second core") as error:
        tinycompile.compile(MODEL, "mps2-an385", output=tmp_path / "out", cores=2)
    assert "mps2-an521" in str(error.value)
