"""`--steps --input-stream rows`: rows of the input that are pushed, as lines of a camera come."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.conftest import DIGITS
from tests.support.emulated_kernel import run_program
from tests.support.full import FULL, also
from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.build import Build
from tinycompile.frontend import load

PROGRAM = """
#include "MODEL.h"
#include <string.h>
#ifdef __arm__
#include "board.h"
#endif

static MODEL_context context;
static const ROWTYPE images[] = {IMAGES};
static const int8_t outputs[] = {OUTPUTS};

int main(void)
{
    const uint32_t size = sizeof images / IMAGECOUNT, answer = sizeof outputs / IMAGECOUNT;
    static uint8_t line[PREFIX_ROW_BYTES + 1u];
#ifdef __arm__
    board_init();
#endif
    if (MODEL_push_row(&context, images) != PREFIX_ERROR_INIT || MODEL_init(&context) != PREFIX_OK ||
        MODEL_push_row(&context, NULL) != PREFIX_ERROR_NULL) {
        return 1;
    }
    MODEL_push_row(&context, images); /* a frame that breaks off */
    MODEL_reset(&context);
    for (uint32_t image = 0; image < IMAGECOUNT; image++) {
        const uint8_t *const from = (const uint8_t *)images + image * size;
        for (uint32_t row = 0; row < PREFIX_ROWS; row++) {
            memcpy(line + 1, from + row * PREFIX_ROW_BYTES, PREFIX_ROW_BYTES); /* at an odd address */
            const MODEL_status status = MODEL_push_row(&context, (const void *)(line + 1));
            memset(line, 0x55, sizeof line);
            if (status != (row + 1u < PREFIX_ROWS ? PREFIX_UNFINISHED : PREFIX_OK)) {
                return 2;
            }
        }
        if (memcmp(MODEL_output_0(&context), outputs + image * answer, answer) != 0) {
            return 3;
        }
    }
    return 0;
}
"""


def check(build: Build, images: np.ndarray, outputs: np.ndarray, tmp_path: Path) -> None:
    text = PROGRAM.replace("MODEL", build.model).replace("PREFIX", build.model.upper())
    for name, array in (("IMAGES", images), ("OUTPUTS", outputs)):
        text = text.replace(name, ", ".join(map(str, array.ravel().tolist())))
    text = text.replace("IMAGECOUNT", f"{len(images)}u").replace("ROWTYPE", f"{images.dtype.name}_t")
    run_program(text, "mps2-an386", folder=build.folder)
    (tmp_path / "main.c").write_text(text)
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsanitize=address,undefined"]
    sources = ["main.c", *build.folder.glob("*.c")]
    subprocess.run(["cc", *flags, f"-I{build.folder}", *sources, "-o", "main", "-lm"], cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)


def compiled(model: Path, folder: Path, **options: object) -> Build:
    return tinycompile.compile(
        model, "mps2-an386", output=folder, input_stream="rows", steps="100%", pareto=False, **options
    )


@pytest.mark.skipif(not FULL, reason="builds once more: test-full")
def test_digits_come_row_by_row(tmp_path: Path) -> None:
    data = np.load(DIGITS / "digits_samples.npz")
    build = compiled(DIGITS / "digits_int8.tflite", tmp_path / "out", ram=1900)
    check(build, data["input_0"][:3], data["output_0"][:3], tmp_path)


@pytest.mark.parametrize(("height", "optimize"), [(7, "speed"), *also((9, "ram"), (8, "speed"))])
def test_windows_with_padding_and_strides(height: int, optimize: str, tmp_path: Path) -> None:
    """Of 7 rows layers take 4 together, then 3."""
    rng, b = np.random.default_rng(0), TfliteBuilder()
    x = b.tensor((1, height, 6, 3), 0.1, 1)
    y, z = b.tensor((1, (height + 1) // 2, 3, 4), 0.2, -2), b.tensor((1, (height + 1) // 2, 3, 4), 0.4, 3)
    for source, result, depth, stride in ((x, y, 3, 2), (y, z, 4, 1)):
        weights = b.constant(rng.integers(-127, 128, (4, 3, 3, depth)).astype(np.int8), 0.01, 0)
        bias = b.constant(rng.integers(-500, 500, 4).astype(np.int32), 0.001)
        b.op("CONV_2D", [source, weights, bias], [result], Padding=0, StrideH=stride, StrideW=stride)
    (tmp_path / "odd.tflite").write_bytes(b.build([x], [z]))
    build = compiled(tmp_path / "odd.tflite", tmp_path / "out", optimize=optimize)
    images = rng.integers(-128, 128, (2, 1, height, 6, 3)).astype(np.int8)
    graph = load(tmp_path / "odd.tflite")
    check(build, images, np.stack([interpreter.run(graph, [x])[graph.outputs[0]] for x in images]), tmp_path)
    if height == 7:
        assert "n * 4, n == 1 ? 3 : 4, " in (build.folder / "odd.c").read_text()
