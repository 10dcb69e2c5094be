"""The character model as firmware, run in QEMU: it continues a text, a character at a time.

`python demo.py --prompt "And God said" --temperature 0.7`; with `--perplexity` also what int8 costs on held-out text.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tinycompile
from tinycompile.build import Build
from tinycompile.errors import MismatchError
from tinycompile.report.summary import duration
from tinycompile.toolchain import require, run

HERE = Path(__file__).parent
SOURCES = {"main.c": "tiny_llm_main.c", "generate.c": "generate.c", "generate.h": "generate.h"}
"""Of the firmware, by their names here; the build keeps its own main.c."""
OBJECTS = ("tiny_llm_main", "generate", "startup")
Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Text:
    """What a firmware wrote.

    Attributes:
        written: prompt and continuation. instructions: executed for the continuation. steps: of the model in it, more
            than its characters where the cache was full and half of it was read again.
    """

    written: str
    instructions: int
    steps: int


@dataclass(frozen=True)
class Request:
    """What is to be written: `length` characters behind the prompt.

    Attributes:
        temperature: 0 for the likeliest character each time, 1 for the model's probabilities.
    """

    prompt: str
    length: int
    temperature: float = 0.0
    seed: int = 1


def compiled(model: Path, calib: Path, target: str, output: Path, caches: Sequence[str]) -> Build:
    """The build of `tiny_llm.onnx`, int8 to its edges, with its caches as states."""
    states = {name: f"{name}_next" for name in caches}
    return tinycompile.compile(model, target, output=output, calib=calib, states=states, io="int8", force=True)


def cache_names(model: Path) -> list[str]:
    """The inputs that are caches: all but the first two."""
    import onnx

    return [value.name for value in onnx.load(model).graph.input][2:]


def quoted(text: str) -> str:
    """As a string of C."""
    return '"' + "".join(c if c.isalnum() or c in " .,:;!?()'-" else f"\\{ord(c):03o}" for c in text) + '"'


def write_sources(build: Build, characters: Sequence[str], context: int, request: Request) -> None:
    """The firmware's C and a request, beside the build's own.

    Args:
        characters: in the order of their tokens. context: the positions of the model's caches.
    """
    firmware = build.folder / "firmware"
    for name, there in SOURCES.items():
        shutil.copy(HERE / name, firmware / there)
    (firmware / "tiny_llm_text.h").write_text(
        "/* SPDX-License-Identifier: 0BSD */\n"
        "/* What the model's inputs and outputs mean, and what to write. */\n"
        "#ifndef TINY_LLM_TEXT_H\n#define TINY_LLM_TEXT_H\n\n"
        f"enum {{ CONTEXT = {context}, CHARACTERS = {len(characters)} }};\n"
        f"#define TEXT_CHARACTERS {{{', '.join(str(ord(c)) for c in characters)}}}\n"
        f"#define PROMPT {quoted(request.prompt)}\n#define LENGTH {request.length}u\n"
        f"#define TEMPERATURE {request.temperature:f}f\n#define SEED {request.seed}u\n\n#endif\n"
    )


def made(build: Build, name: str, prints: str, suffix: str = "", flags: str = "-O2") -> Path:
    """A firmware of the sources that are there, beside the build's own.

    Args:
        prints: the object that prints. suffix: of the firmware that is linked for QEMU.
    """
    objects = [f"build/firmware/{each}.o" for each in (*OBJECTS, prints)]
    elf = build.folder / "build" / f"{name}{suffix}.elf"
    for stale in (elf, *(build.folder / each for each in objects[:2])):
        stale.unlink(missing_ok=True)
    command = ["make", "--no-print-directory", f"NAME=build/{name}", f"build/{elf.name}", f"CFLAGS={flags}"]
    run([*command, f"FIRMWARE={' '.join(objects)}", "STACK_BYTES=2048"], cwd=build.folder)
    return elf


def console_firmware(build: Build) -> Path:
    """The firmware that prints on the board's UART, of the sources that are there."""
    return made(build, "tiny_llm_console", "console", flags="-O2 -DCONSOLE")


def generate(build: Build, characters: Sequence[str], context: int, request: Request) -> Text:
    """Builds the firmware with the request in it, and runs it in QEMU. Arguments: see `write_sources`.

    Raises:
        MismatchError: the firmware failed.
    """
    write_sources(build, characters, context, request)
    elf = made(build, "tiny_llm", "semihosting", "_qemu")
    board = build.emulated.qemu
    assert board is not None
    command = [require("qemu-system-arm"), "-machine", board.machine, "-nographic", "-monitor", "none"]
    command += ["-serial", "none", "-icount", "shift=5", "-semihosting-config", "enable=on,target=native"]
    command += ["-kernel", str(elf.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    written, found, ticks = f"{done.stdout}{done.stderr}".rpartition("\n\nticks: ")
    if done.returncode != 0 or not found:
        raise MismatchError("the firmware failed", why=f"{done.stdout}{done.stderr}")
    counted, steps = ticks.split(" steps: ")
    return Text(written, board.instructions(int(counted)), int(steps))


def tokens_of(text: str, characters: Sequence[str]) -> Tokens:
    return np.array([characters.index(character) for character in text], np.int64)


def steps_of(tokens: Tokens, context: int) -> tuple[Tokens, Tokens, Tokens]:
    """The steps in which `generator_read` reads tokens: (token of each, its position, the last step of each token)."""
    steps, held, last = list[tuple[int, int]](), list[int](), list[int]()
    for token in tokens.tolist():
        again = held[context - context // 2 :] if len(held) == context else []
        held = again if again else held
        steps += [(each, place) for place, each in enumerate(again)]
        steps.append((token, len(held)))
        held = [*held, token]
        last.append(len(steps) - 1)
    return *np.array(steps, np.int64).T, np.array(last)


def is_greedy(build: Build, characters: Sequence[str], context: int, request: Request, written: str) -> bool:
    """Whether each character that was written is the likeliest one by the generated C on this machine."""
    tokens = tokens_of(written, characters)
    read, places, last = steps_of(tokens, context)
    logits = np.asarray(build.run(read[:, None], places[:, None]))
    likeliest = logits.reshape(len(read), -1).argmax(axis=1)[last]
    first = len(request.prompt)
    return bool(np.array_equal(likeliest[first - 1 : -1], tokens[first:]))


def perplexity(logits: NDArray[np.floating], tokens: Tokens, positions: Tokens) -> float:
    """exp of the mean surprise at the next token, within each piece of text.

    Args:
        logits: (tokens, characters), behind each token. positions: of each token in its piece.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    surprise = np.log(np.exp(shifted).sum(axis=1))[:-1] - shifted[np.arange(len(tokens) - 1), tokens[1:]]
    return float(np.exp(surprise[positions[1:] > 0].mean()))


def float_logits(model: Path, tokens: Tokens, positions: Tokens) -> NDArray[np.float32]:
    """The same of the float model in onnxruntime, step by step."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    caches = {value.name: np.zeros(value.shape, np.float32) for value in session.get_inputs()[2:]}
    found = list[NDArray[np.float32]]()
    for token, position in zip(tokens, positions, strict=True):
        logits, *following = session.run(None, {"token": token[None], "position": position[None], **caches})
        caches = dict(zip(caches, following, strict=True))
        found.append(logits[0])
    return np.stack(found)


def print_perplexities(build: Build, model: Path, text: Path) -> None:
    data = np.load(text)
    tokens, positions = data["token"].ravel(), data["position"].ravel()
    scale = np.float32(build.report["outputs"][0]["scale"])
    logits = scale * np.asarray(build.run(tokens[:, None], positions[:, None]), np.float32).reshape(len(tokens), -1)
    of_int8 = perplexity(logits, tokens, positions)
    of_float = perplexity(float_logits(model, tokens, positions), tokens, positions)
    print(f"perplexity of {len(tokens):,} held-out characters: float {of_float:.4f}, int8 {of_int8:.4f} ", end="")
    print(f"({of_int8 / of_float - 1:+.2%})")


def main() -> None:
    parser = argparse.ArgumentParser(description="Let the character model write in QEMU.")
    parser.add_argument("--target", default="stm32h743")
    parser.add_argument("--prompt", default="And it came to pass")
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--perplexity", action="store_true", help="compare int8 and float on held-out text")
    parser.add_argument("--console", action="store_true", help="also build what prints on the board's UART")
    parser.add_argument("--out", type=Path, default=Path("build/tiny_llm"))
    args = parser.parse_args()
    model, text = HERE / "tiny_llm.onnx", HERE / "tiny_llm_text.npz"
    data = np.load(text)
    characters, context = data["characters"].tolist(), int(data["position"].max()) + 1
    build = compiled(model, HERE / "tiny_llm_calib.npz", args.target, args.out, cache_names(model))
    request = Request(args.prompt, args.length, args.temperature, args.seed)
    found = generate(build, characters, context, request)
    print(found.written)
    each = found.instructions / found.steps
    print(f"\n{args.target}: {each:,.0f} instructions for a token", end="")
    time = duration(build.report)
    if time is not None:
        print(f"; about {1 / time.high:,.0f} to {1 / time.low:,.0f} tokens a second at ", end="")
        print(f"{build.board.clock_hz / 1e6:.0f} MHz, estimated with what the board's memories cost", end="")
    print()
    if request.temperature == 0 and not is_greedy(build, characters, context, request, found.written):
        sys.exit("a character isn't the likeliest one")
    if args.console:
        print(f"for the board's UART: {console_firmware(build)}")
    if args.perplexity:
        print_perplexities(build, model, text)


if __name__ == "__main__":
    main()
