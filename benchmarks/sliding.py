"""`make bench-sliding`: what a step of a sliding window takes, against the whole window; and a streaming wake word.

Counted in QEMU on the Cortex-M7, after a comparison of every step with LiteRT's reference kernels on the whole window.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import tinycompile
from tests.support.sliding_files import keyword_model
from tests.support.wake_word import wake_word_model
from tinycompile.build import Build
from tinycompile.errors import TinycompileError
from tinycompile.ir import Array
from tinycompile.verify.compare import verify_build

SHARED = Path(__file__).parent.parent.parent / "shared"
STEPS = 200


def features(build: Build, steps: int) -> Array:
    """Int8 features that change slowly, as those of sounds do, a step a row."""
    (t,) = build.inputs
    rng = np.random.default_rng(1)
    values = np.cumsum(rng.normal(0, 9, (steps * t.shape[1], t.elements // t.shape[1])), axis=0)
    spread: Array = values - values.mean(axis=0) + rng.normal(0, 12, values.shape)
    return np.asarray(np.clip(np.round(spread + t.zero_point), -128, 127), np.int8).reshape(steps, *t.shape)


def measured(path: Path, slide: str | None, steps: int) -> tuple[int, int, int]:
    """(instructions, arena, states) of a build whose steps are right.

    Raises:
        TinycompileError: one isn't.
    """
    build = tinycompile.compile(path, "stm32f746", slide=slide)
    samples = [features(build, steps)]
    found = verify_build(build, samples)
    if found.differences:
        raise TinycompileError(f"{found.differences} values differ", where=str(path))
    execution = build.execute([array[:10] for array in samples])
    ram = build.report["ram"]
    return max(execution.instructions), ram["arena_bytes"], ram["state_bytes"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "keywords_valid": keyword_model(causal=False),
            "keywords_causal": keyword_model(causal=True),
            "wake_word": wake_word_model(),
        }
        paths = {name: Path(folder) / f"{name}.tflite" for name in files}
        for name, content in files.items():
            paths[name].write_bytes(content)
        print("| Cortex-M7 | whole window: instructions | arena | a step: instructions | arena + states |")
        print("|---|--:|--:|--:|--:|")
        for path in (SHARED / "models/kws_ref_model.tflite", paths["keywords_valid"], paths["keywords_causal"]):
            whole, arena, _ = measured(path, None, 2)
            step, ring, states = measured(path, "time=2", STEPS)
            print(f"| {path.stem} | {whole:,} | {arena:,} | {step:,} ({step / whole:.3f}) | {ring:,} + {states:,} |")
        step, ring, states = measured(paths["wake_word"], None, STEPS)
        print(f"| wake_word, six variables | | | {step:,} | {ring:,} + {states:,} |")


if __name__ == "__main__":
    main()
