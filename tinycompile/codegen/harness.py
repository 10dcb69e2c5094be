"""The firmware that answers the benchmark runner of MLPerf Tiny: what of it depends on the model.

Facts from mlcommons/tiny (benchmark/api, benchmark/runner, benchmark/evaluation/datasets/README.md): commands,
messages, names of the models and the form in which the runner sends their inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from tinycompile.codegen.program import Program
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.errors import UsageError

Wire = Literal["own", "uint8", "float32"]
"""How inputs come: as the model takes them; as bytes from 0 on for int8 from -128 on; as floats, little endian."""


@dataclass(frozen=True)
class Benchmark:
    """A model as the runner knows it.

    Attributes:
        name: what `profile` answers.
        wire: of its input.
        error: results are the mean square of what differs between input and output, of an autoencoder; else all
            outputs.
    """

    name: str
    wire: Wire = "own"
    error: bool = False


_KNOWN: dict[tuple[int, ...], Benchmark] = {
    (49, 10, 1): Benchmark("kws01"),
    (96, 96, 3): Benchmark("vww01", "uint8"),
    (32, 32, 3): Benchmark("ic01", "uint8"),
    (640,): Benchmark("ad01", "float32", error=True),
}
"""By the shape of the int8 input."""


def benchmark_of(program: Program) -> Benchmark:
    """One of the four models by its input, or another model under its own name, whose input comes as it is.

    Raises:
        UsageError: the runner has no way to give the model what it takes.
    """
    if program.streamed_input is not None or len(program.inputs) != 1 or not program.outputs:
        raise UsageError(
            "--harness is for models with one input that is whole in RAM, and an output",
            where=program.model,
            hint="build without --input-stream rows",
        )
    taken, given = program.inputs[0].type, program.outputs[0].type
    if taken.dtype.bits < 8 or given.dtype.bits < 8:
        raise UsageError("--harness needs inputs and outputs of whole bytes", where=program.model)
    shape = taken.shape
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    found = _KNOWN.get(shape) if taken.dtype == INT8 else None
    if found is None or (found.error and prod(given.shape) != prod(shape)):
        return Benchmark(program.model)
    if given.dtype not in (INT8, FLOAT32):
        return Benchmark(program.model)
    return found
