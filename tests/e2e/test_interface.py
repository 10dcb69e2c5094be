"""The C interface is one and the same for every build: the program of docs/integration.md runs on all of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import DIGITS, ROOT
from tests.reliability.programs import LAYER_DONE, SANITIZED, STRICT, sources
from tests.support.pages import blocks
from tests.support.random_model import RandomModel
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.errors import UsageError
from tinycompile.options import Options
from tinycompile.pipeline import compile_together

DATA = np.load(DIGITS / "digits_samples.npz")
KINDS = ("embedded", "separate", "rows", "scratch")
(APPLICATION,) = [b.text for b in blocks(ROOT / "docs/integration.md") if b.file == "app.c"]


def tight_board(folder: Path) -> Path:
    """A folder with an STM32F746 whose fastest memory is large enough for scratch only, as with larger models."""
    shutil.copytree(ROOT / "board_support" / "stm32f746", folder / "tight")
    toml = folder / "tight" / "board.toml"
    text = toml.read_text()
    assert text.count("bytes = 0x1_0000\n") == 1
    toml.write_text(text.replace("bytes = 0x1_0000\n", "bytes = 0x1400\n"))
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    """The digits model in builds that differ in what a caller had to set, once."""
    folder = tmp_path_factory.mktemp("interface")
    model = shutil.copy(DIGITS / "digits_int8.tflite", folder / "model.tflite")
    boards = tight_board(folder / "boards")
    return {
        "embedded": tinycompile.compile(model, "host", output=folder / "embedded"),
        "separate": tinycompile.compile(model, "host", output=folder / "separate", weights="separate"),
        "rows": tinycompile.compile(model, "host", output=folder / "rows", input_stream="rows"),
        "scratch": tinycompile.compile(model, "tight", output=folder / "scratch", board_path=boards),
    }


def linked_weights(build: Build, work: Path) -> list[str]:
    """For separate weights, what a board's linker script does: they are at `linker_weights_<model>`."""
    if build.weights is None:
        return []
    text = f".globl linker_weights_{build.model}\n.section .rodata\n.balign 8\nlinker_weights_{build.model}:\n"
    (work / "weights.s").write_text(f'{text}.incbin "{build.weights.resolve()}"\n.section .note.GNU-stack\n')
    return [str(work / "weights.s")]


def run_application(build: Build, program: str, work: Path, *flags: str, languages: tuple[str, ...] = ("c",)) -> str:
    """What a program around a model prints, the same in each language."""
    work.mkdir(exist_ok=True)
    objects = [str(path) for path in sources(build.folder.resolve(), build.model)]
    model = ["gcc", *STRICT, *flags, "-c", *objects, *linked_weights(build, work)]
    subprocess.run(model, check=True, cwd=work)
    printed = set[str]()
    for language in languages:
        (work / f"app.{language}").write_text(program)
        compiler = ["g++", "-std=c++11", *STRICT[1:]] if language == "cpp" else ["gcc", *STRICT]
        link = [*compiler, *flags, f"-I{build.folder.resolve()}", f"app.{language}", *map(str, work.glob("*.o"))]
        subprocess.run([*link, "-lm", "-o", "app"], check=True, cwd=work)
        printed.add(subprocess.run([work / "app"], check=True, capture_output=True, text=True).stdout)
    (text,) = printed
    return text


@pytest.mark.parametrize("kind", KINDS)
def test_the_documented_program_runs_on_every_build(kind: str, built: dict[str, Build], tmp_path: Path) -> None:
    printed = run_application(built[kind], APPLICATION, tmp_path / "w", "-O1", languages=("c", "cpp"))
    image = np.full((1, 8, 8, 1), np.round(0.25 / np.float32(1 / 255)) - 128, np.int8)
    scores = np.asarray(built["embedded"].run(image)).reshape(-1)
    assert printed == "".join(f"{i}: {(int(s) + 128) / 256:.3f}\n" for i, s in enumerate(scores))


HEAD = '#include "model.h"\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n'
EXPECT = """
#define EXPECT(condition) \\
    do { \\
        if (!(condition)) { \\
            (void)printf("line %d: %s\\n", __LINE__, #condition); \\
            exit(1); \\
        } \\
    } while (0)
"""


def c_array(name: str, values: np.ndarray) -> str:
    return f"static const int8_t {name}[{values.size}] = {{{', '.join(str(v) for v in values.ravel())}}};\n"


SAMPLES = "".join(
    c_array(f"{kind}_{which}", DATA[f"{kind}put_0"][i]) for kind in ("in", "out") for which, i in (("a", 0), ("b", 1))
)

STATES = """
static model_context context;
static uint64_t arena[MODEL_ARENA_BYTES / 8u + 1u], scratch[MODEL_SCRATCH_BYTES / 8u + 1u];

int main(void)
{
    int8_t out[MODEL_OUTPUT_0_BYTES];
    model_memory memory = {0};
    EXPECT(model_init(NULL) == MODEL_ERROR_NULL);
    EXPECT(model_init_with(NULL, &memory) == MODEL_ERROR_NULL);
    EXPECT(model_run(&context, in_a, out) == MODEL_ERROR_INIT);
    EXPECT(model_invoke(&context) == MODEL_ERROR_INIT);
    EXPECT(model_check(&context) == MODEL_ERROR_INIT);
    EXPECT(model_output_0(&context) == NULL);
    memset(&context, 0xa5, sizeof context); /* on a stack, anything may be there */
    EXPECT(model_init(&context) == MODEL_OK);
    EXPECT(model_check(&context) == MODEL_OK);
    EXPECT(model_run(&context, in_a, out) == MODEL_OK && memcmp(out, out_a, sizeof out) == 0);
    EXPECT(model_init_with(&context, NULL) == MODEL_ERROR_NULL);
    EXPECT(model_init_with(&context, &memory) == MODEL_OK); /* all defaults */
    EXPECT(model_run(&context, in_b, out) == MODEL_OK && memcmp(out, out_b, sizeof out) == 0);
    memory.arena = arena;
    memory.scratch = scratch;
    EXPECT(model_init_with(&context, &memory) == MODEL_OK);
    memset(arena, 0xa5, sizeof arena);
    EXPECT(model_run(&context, in_b, out) == MODEL_OK && memcmp(out, out_b, sizeof out) == 0);
    EXPECT(memcmp(model_output_0(&context), out_b, sizeof out) == 0);
    EXPECT((const uint8_t *)model_output_0(&context) >= (const uint8_t *)arena);
    EXPECT((const uint8_t *)model_output_0(&context) < (const uint8_t *)arena + sizeof arena);
    memory.arena = (uint8_t *)arena + 4;
    EXPECT(model_init_with(&context, &memory) == MODEL_ERROR_ALIGNMENT);
    EXPECT(model_run(&context, in_b, out) == MODEL_ERROR_INIT); /* what failed leaves nothing behind */
    memory.arena = arena;
    memory.weights = arena; /* which are no weights */
    EXPECT(model_init_with(&context, &memory) == MODEL_ERROR_FORMAT);
    EXPECT(model_run(&context, in_b, out) == MODEL_ERROR_INIT);
    EXPECT(model_init(&context) == MODEL_OK);
    EXPECT(model_run(&context, in_a, out) == MODEL_OK && memcmp(out, out_a, sizeof out) == 0);
    return 0;
}
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_context_is_ready_or_says_that_it_is_not(kind: str, built: dict[str, Build], tmp_path: Path) -> None:
    flags = [*SANITIZED, "-DTC_DEBUG"] if kind in ("embedded", "scratch") else ["-O1"]
    run_application(built[kind], HEAD + EXPECT + SAMPLES + STATES, tmp_path / "w", *flags)


NESTED = (
    """
static model_context outer, inner, third;
static uint64_t own[MODEL_SCRATCH_BYTES / 8u];
static int inside;

static int right(model_context *context, const int8_t *in, const int8_t *out)
{
    int8_t got[MODEL_OUTPUT_0_BYTES];
    return model_run(context, in, got) == MODEL_OK && memcmp(got, out, sizeof got) == 0;
}

"""
    + LAYER_DONE
    + """\
    (void)layer;
    if (!inside) {
        int8_t got[MODEL_OUTPUT_0_BYTES];
        inside = 1;
        EXPECT(model_run(&inner, in_b, got) == MODEL_ERROR_BUSY);
        EXPECT(right(&third, in_b, out_b));
        inside = 0;
    }
}

int main(void)
{
    model_memory memory = {0};
    memory.scratch = own;
    EXPECT(model_init(&outer) == MODEL_OK && model_init(&inner) == MODEL_OK);
    EXPECT(model_init_with(&third, &memory) == MODEL_OK);
    EXPECT(right(&outer, in_a, out_a));
    inside = 1;
    EXPECT(right(&inner, in_b, out_b)); /* one after the other is no trouble */
    EXPECT(right(&outer, in_a, out_a));
    return 0;
}
"""
)


@pytest.mark.parametrize("flags", [[], ["-U__GCC_ATOMIC_POINTER_LOCK_FREE"]], ids=["atomic", "interrupts"])
def test_an_inference_in_scratch_that_is_in_use_is_refused(
    flags: list[str], built: dict[str, Build], tmp_path: Path
) -> None:
    program = HEAD + EXPECT + SAMPLES + NESTED
    run_application(built["scratch"], program, tmp_path / "w", "-O1", "-DTC_TRACE", *flags)


SHARING = """
#include "other.h"
static uint64_t arena[(MODEL_ARENA_BYTES > OTHER_ARENA_BYTES ? MODEL_ARENA_BYTES : OTHER_ARENA_BYTES) / 8u];
static model_context a, b;
static other_context c;

int main(void)
{
    model_memory memory = {0};
    other_memory others = {0};
    int8_t out[MODEL_OUTPUT_0_BYTES], result[OTHER_OUTPUT_0_BYTES];
    memory.arena = others.arena = arena;
    EXPECT(model_init_with(&a, &memory) == MODEL_OK && model_init_with(&b, &memory) == MODEL_OK);
    EXPECT(other_init_with(&c, &others) == OTHER_OK);
    EXPECT(sizeof a <= 64u && sizeof c <= 64u);
    for (int i = 0; i < 3; i++) {
        EXPECT(model_run(&a, in_a, out) == MODEL_OK && memcmp(out, out_a, sizeof out) == 0);
        EXPECT(other_run(&c, in_c, result) == OTHER_OK && memcmp(result, out_c, sizeof result) == 0);
        EXPECT(model_run(&b, in_b, out) == MODEL_OK && memcmp(out, out_b, sizeof out) == 0);
    }
    memory.arena = NULL;
    EXPECT(model_init_with(&a, &memory) == MODEL_ERROR_NULL);
    return 0;
}
"""


def test_models_and_contexts_share_an_arena_and_keep_what_is_theirs(tmp_path: Path) -> None:
    """In our own firmware, in QEMU, and in a program that has one arena for all of them."""
    model = shutil.copy(DIGITS / "digits_int8.tflite", tmp_path / "model.tflite")
    content, shape = RandomModel(3).build(layers=4)
    (tmp_path / "other.tflite").write_bytes(content)
    builds = compile_together([Path(model), tmp_path / "other.tflite"], Options(), output=tmp_path / "out")
    x = np.random.default_rng(0).integers(-128, 128, (1, *shape)).astype(np.int8)
    expected = np.asarray(builds[1].run(x))
    np.testing.assert_array_equal(builds[1].run(x, on="qemu"), expected)
    np.testing.assert_array_equal(builds[0].run(DATA["input_0"][:1], on="qemu"), DATA["output_0"][:1])
    folder = builds[0].folder.resolve()
    program = HEAD + EXPECT + SAMPLES + c_array("in_c", x) + c_array("out_c", expected) + SHARING
    (tmp_path / "app.c").write_text(program)
    files = [*sources(folder, "model"), *sources(folder, "other"), tmp_path / "app.c"]
    command = ["gcc", *STRICT, "-O1", "-DTC_BRING_MEMORY", f"-I{folder}", *map(str, files), "-lm"]
    subprocess.run([*command, "-o", "app"], check=True, cwd=tmp_path)
    assert subprocess.run([tmp_path / "app"], capture_output=True, text=True, check=True).stdout == ""


CONSTANTS = """
int main(void)
{
    static const int input[MODEL_INPUT_0_RANK] = MODEL_INPUT_0_SHAPE;
    static const int output[MODEL_OUTPUT_0_RANK] = MODEL_OUTPUT_0_SHAPE;
    model_context context;
    EXPECT(model_init(&context) == MODEL_OK);
    (void)printf("%d %d %s %s\\n", MODEL_INPUTS, MODEL_OUTPUTS, MODEL_TINYCOMPILE_VERSION, MODEL_SOURCE_SHA256);
    (void)printf("%s %d %d %d %d ", MODEL_INPUT_0_NAME, input[0], input[1], input[2], input[3]);
    (void)printf("%s\\n", MODEL_INPUT_0_LAYOUT);
    (void)printf("%s %d %d %d\\n", MODEL_OUTPUT_0_NAME, output[0], output[1], MODEL_OUTPUT_0_ELEMENTS);
    const model_quantization in = model_input_0_quantization(&context), out = model_output_0_quantization(&context);
    EXPECT(memcmp(&in.scale, &(float){MODEL_INPUT_0_SCALE}, 4u) == 0 && in.zero_point == MODEL_INPUT_0_ZERO_POINT);
    EXPECT(memcmp(&out.scale, &(float){MODEL_OUTPUT_0_SCALE}, 4u) == 0 && out.zero_point == MODEL_OUTPUT_0_ZERO_POINT);
    (void)printf("%.9g %d %.9g %d\\n", (double)in.scale, (int)in.zero_point, (double)out.scale, (int)out.zero_point);
    return 0;
}
"""


@pytest.mark.parametrize("kind", ["embedded", "separate"])
def test_the_header_has_the_models_constants(kind: str, built: dict[str, Build], tmp_path: Path) -> None:
    build = built[kind]
    lines = run_application(build, HEAD + EXPECT + CONSTANTS, tmp_path / "w", "-O1").splitlines()
    source = build.report["source"]["sha256"]
    (i,), (o,) = build.report["inputs"], build.report["outputs"]
    assert lines == [
        f"1 1 {tinycompile.__version__} {source}",
        f"serving_default_image:0 {' '.join(map(str, i['shape']))} NHWC",
        f"StatefulPartitionedCall_1:0 {' '.join(map(str, o['shape']))} 10",
        f"{i['scale']:.9g} {i['zero_point']} {o['scale']:.9g} {o['zero_point']}",
    ]


LABELS = """
int main(void)
{
    for (int i = 0; i < MODEL_LABELS; i++) {
        (void)printf("%s\\n", model_labels[i]);
    }
    return 0;
}
"""


def test_labels_are_in_the_code(tmp_path: Path) -> None:
    model = shutil.copy(DIGITS / "digits_int8.tflite", tmp_path / "model.tflite")
    names = ["zero", 'o"ne', "two??/", "thr\\ee", "fo*/ur", "fünf", "6", "7", "8\t8", "%d"]
    (tmp_path / "labels.txt").write_text("\n".join(names) + "\n")
    arguments = [
        "build",
        str(model),
        "--target",
        "host",
        "-o",
        str(tmp_path / "out"),
        "--labels",
        str(tmp_path / "labels.txt"),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert run_application(Build(tmp_path / "out"), HEAD + LABELS, tmp_path / "w", "-O1").splitlines() == names
    (tmp_path / "labels.txt").write_text("zero\none\n")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "labels.txt: there are 2 labels" in result.output and "10" in result.output
    with pytest.raises(UsageError, match="labels"):
        tinycompile.compile(model, "host", output=tmp_path / "o", labels=tmp_path / "missing.txt")


def test_every_generated_file_says_its_licence(built: dict[str, Build]) -> None:
    for build in built.values():
        for path in [*build.folder.glob("model*.[ch]"), *build.folder.glob("*/main*.c")]:
            assert path.read_text().startswith("/* SPDX-License-Identifier: 0BSD */\n"), path
