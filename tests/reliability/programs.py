"""C programs around a generated folder, compiled for this machine and run."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

STRICT = "-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror -ffp-contract=off".split()
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


TRACE = "void tc_layer_done(int layer, const void *data, uint32_t bytes, int32_t row, int32_t column, int32_t columns)"
"""What a program of a trace build defines, which sees every layer; of these arguments it needs `layer` only."""

LAYER_DONE = f"""{TRACE};
{TRACE}
{{
    (void)data;
    (void)bytes;
    (void)row;
    (void)column;
    (void)columns;
"""


def sources(folder: Path, model: str) -> list[Path]:
    """The model's own C files: one where the weights are apart."""
    return [path for path in (folder / f"{model}.c", folder / f"{model}_weights.c") if path.exists()]


def run_c(
    folder: Path,
    model: str,
    program: str,
    work: Path,
    *flags: str,
    compiler: str = "gcc",
    arguments: Sequence[str] = (),
) -> str:
    """Compile `program`, which includes `<model>.h`, with the model, and return what it prints.

    Raises:
        subprocess.CalledProcessError: it doesn't compile, or ends with another status than 0.
    """
    work.mkdir(exist_ok=True)
    (work / "program.c").write_text(program)
    binary = work / "program"
    command = [
        compiler,
        *STRICT,
        *flags,
        f"-I{folder}",
        work / "program.c",
        *sources(folder, model),
        "-lm",
        "-o",
        binary,
    ]
    subprocess.run(command, check=True)
    return subprocess.run([binary, *arguments], check=True, capture_output=True, text=True, cwd=folder).stdout
