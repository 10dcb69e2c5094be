"""What runs on samples: `run` and `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinycompile.cli._shared import FOLDER, explained
from tinycompile.errors import UsageError


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--input", "input_file", type=FOLDER, required=True, help="Samples: .npz with input_0, ... or one .npy.")
@click.option("--output", "output_file", type=FOLDER, help="Where to write output_0, ... (.npz).")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples.")
@click.option("--model", help="Which one, where FOLDER has several.")
@explained
def run(folder: Path, input_file: Path, output_file: Path | None, limit: int | None, model: str | None) -> None:
    """Run the firmware of FOLDER in QEMU (a build for the host: here) on every sample."""
    import numpy as np

    from tinycompile.build import Build
    from tinycompile.samples import drop_batch, load_arrays, model_inputs

    if output_file is not None and output_file.suffix != ".npz":
        raise UsageError("--output must end in .npz", where=str(output_file))
    result = Build(folder, model=model)
    samples = model_inputs(load_arrays(input_file), result.inputs, where=str(input_file), limit=limit)
    execution = result.execute(samples)
    if output_file is not None:
        arrays: dict[str, Any] = {f"output_{i}": drop_batch(array) for i, array in enumerate(execution.outputs)}
        try:
            np.savez(output_file, **arrays)
        except OSError as error:
            raise UsageError("the outputs can't be written", where=str(output_file), why=str(error)) from error
    counts = execution.instructions
    if not counts:
        click.echo(f"{len(samples[0])} samples on this machine")
        return
    spread = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    click.echo(f"{len(samples[0])} samples in QEMU's {result.emulated.name}: {spread} instructions per inference")


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--samples", "samples_file", type=FOLDER, required=True, help="Samples: .npz or .npy.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples.")
@click.option("--model", help="Which one, where FOLDER has several.")
@explained
def verify(folder: Path, samples_file: Path, limit: int | None, model: str | None) -> None:
    """Compare the firmware of FOLDER with the reference, tensor by tensor."""
    from tinycompile.build import Build
    from tinycompile.errors import MismatchError
    from tinycompile.samples import load_arrays, model_inputs
    from tinycompile.verify.compare import verify_build

    result = Build(folder, model=model)
    samples = model_inputs(load_arrays(samples_file), result.inputs, where=str(samples_file), limit=limit)
    outcome = verify_build(result, samples)
    if outcome.difference is not None:
        raise MismatchError("the firmware deviates from the reference", why=outcome.difference.describe())
    click.echo(
        f"bit-exact: {outcome.samples} samples, {outcome.tensors} tensors, {outcome.values:,} values, 0 differences"
    )
    if outcome.skipped:
        click.echo(f"not in the source model, so not compared: {', '.join(outcome.skipped)}")
