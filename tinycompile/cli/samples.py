"""What runs on samples: `run`, `verify` and `bisect`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycompile.cli._help import command
from tinycompile.cli._serial import SERIAL, Where, serial_options
from tinycompile.cli._shared import PATH, explained, force_option, print_json, progress, samples_option
from tinycompile.cli.training import verify_steps
from tinycompile.errors import MismatchError, UsageError
from tinycompile.staging import may_write
from tinycompile.written import OVERWRITE, is_archive_of_ours, mark_archive

if TYPE_CHECKING:
    from tinycompile.build import Build
    from tinycompile.emulator import Execution
    from tinycompile.ir import Array
    from tinycompile.serial_link.console import Place
    from tinycompile.verify.outcome import Verification


BUDGET = "Also in steps of so many instructions, 0 for single ones: how long the longest takes. For --steps builds."
SEQUENCE = "The arrays are (sequences, steps, ...), or (steps, ...) of one: states begin again before each."


@command(short_help="Run the firmware in QEMU on every sample.")
@click.argument("folder", type=PATH)
@samples_option("Samples: .npz with input_0, ... or the inputs' names, or one .npy.", required=True)
@click.option("-o", "--output", "output_file", type=PATH, help="Where to write output_0, ... (.npz).")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples, or sequences.")
@click.option("--sequence", is_flag=True, help=SEQUENCE)
@click.option("--budget", type=click.IntRange(0, 2**32 - 1), help=BUDGET)
@click.option("--model", help="Which one, where FOLDER has several.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@force_option(OVERWRITE)
@explained
def run(
    folder: Path,
    samples_file: Path,
    output_file: Path | None,
    limit: int | None,
    sequence: bool,
    budget: int | None,
    model: str | None,
    as_json: bool,
    force: bool,
) -> None:
    """Run the firmware of FOLDER in QEMU (a build for the host: here) on every sample."""
    from tinycompile.build import Build
    from tinycompile.report.summary import on_two_cores, prediction_layers

    if output_file is not None and output_file.suffix != ".npz":
        raise UsageError("--output must end in .npz", where=str(output_file))
    result = Build(folder, model=model)
    if budget is not None and sequence:
        raise UsageError("--budget doesn't go with --sequence")
    if sequence:
        samples, _, steps = result.sequences(samples_file, limit)
    else:
        samples, steps = result.samples(samples_file, limit), 0
    if output_file is None:
        execution = result.execute(samples, steps)
    else:
        with may_write(output_file, is_archive_of_ours, read=[samples_file], force=force) as path:
            execution = result.execute(samples, steps)
            _save_outputs(path, execution.outputs, steps)
    in_steps = None if budget is None else _in_steps(result, samples, budget, execution)
    counts = execution.instructions
    bytes_of = ", with TFLM's bytes" if result.match == "tflm" else ""
    if as_json:
        print_json(
            {
                "model": result.model,
                "samples": len(samples[0]),
                "match": result.match,
                "machine": result.emulated.name if counts else None,
                "instructions": list(counts),
                "stack_bytes_painted": execution.stack_bytes if counts else None,
                "output": None if output_file is None else str(output_file),
                **({} if in_steps is None else {"steps": in_steps}),
            }
        )
        return
    if not counts:
        click.echo(f"{_counted(len(samples[0]))} on this machine{bytes_of}")
        return
    spread = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    of = "inference" if prediction_layers(result.report) is None else "prediction"
    where = f"{_counted(len(samples[0]))} in QEMU's {result.emulated.name}"
    together = " of both cores together" if on_two_cores(result.report) else ""
    click.echo(f"{where}: {spread} instructions per {of}{together}{bytes_of}")
    if in_steps is not None:
        longest, more = in_steps["longest"] / counts[0], in_steps["instructions"] / counts[0] - 1
        click.echo(
            f"in steps: {in_steps['returns']:,} returns, the longest after {in_steps['longest']:,} instructions "
            f"({longest:.1%}); {in_steps['instructions']:,} in all ({more:+.2%}), the same outputs"
        )


def _in_steps(result: Build, samples: list[Any], budget: int, whole: Execution) -> dict[str, Any]:
    """What inferences in steps take. Raises MismatchError: their outputs are others."""
    import numpy as np

    found = result.execute_in_steps(samples, budget)
    if not all(map(np.array_equal, whole.outputs, found.outputs)):
        raise MismatchError(
            "an inference in steps has other outputs", where=str(result.folder), hint="a defect: please report it"
        )
    facts: dict[str, Any] = result.report["run_steps"]
    return facts


def _counted(samples: int) -> str:
    return f"{samples:,} sample{'' if samples == 1 else 's'}"


def _save_outputs(path: Path, outputs: list[Any], steps: int) -> None:
    """(samples, ...), or (sequences, steps, ...)."""
    import numpy as np

    from tinycompile.samples import drop_batch

    arrays: dict[str, Any] = {f"output_{i}": drop_batch(array) for i, array in enumerate(outputs)}
    if steps:
        arrays = {name: array.reshape(-1, steps, *array.shape[1:]) for name, array in arrays.items()}
    np.savez(path, **arrays)
    mark_archive(path)


@command(short_help="Compare the firmware with the reference, tensor by tensor.")
@click.argument("folder", type=PATH)
@samples_option("Samples: .npz or .npy.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples, or sequences.")
@click.option("--sequence", is_flag=True, help=SEQUENCE)
@click.option("--model", help="Which one, where FOLDER has several.")
@click.option("--check-certificate", "check", is_flag=True, help="Only whether certificate.json holds for the files.")
@click.option(
    "--train", is_flag=True, help="Training steps, by their definition; --limit says how many.  [default: 20]"
)
@serial_options("qemu", SERIAL)
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON, also if something differs.")
@explained
def verify(
    folder: Path,
    samples_file: Path | None,
    limit: int | None,
    sequence: bool,
    model: str | None,
    check: bool,
    train: bool,
    where: Where,
    as_json: bool,
) -> None:
    """Compare the firmware of FOLDER with the reference, tensor by tensor; writes certificate.json."""
    from tinycompile.build import Build
    from tinycompile.verify.certificate import check_certificate, load_certificate

    result, place = Build(folder, model=model), where.place
    if check:
        found = check_certificate(result)
        if as_json:
            print_json(found)
        else:
            click.echo(f"the certificate holds: {_compared(found)}")
        return
    if train:
        if place is not None:
            raise UsageError("verify --train doesn't ask boards", hint="`tinycompile train --on serial` does")
        verify_steps(result, samples_file, limit, as_json=as_json)
        return
    if samples_file is None:
        raise UsageError("verify needs samples", hint="--samples x.npz, or --check-certificate")
    given = result.sequences(samples_file, limit) if sequence else (*result.real_samples(samples_file, limit), 0)
    with progress(not as_json):
        outcome, line = _verified(result, place, *given)
    certificate = load_certificate(result.folder, result.model)
    if as_json:
        print_json(certificate)
        sys.exit(0 if outcome.difference is None else 1)
    if outcome.difference is not None:
        raise _mismatch(outcome, _labels(result))
    click.echo(f"{'bit-exact' if not outcome.bounded else 'equal'}: {_compared(certificate)}")
    for each in (*line, *_left_open(outcome, _labels(result)), *_clipping(outcome)):
        click.echo(each)


def _verified(
    build: Build, place: Place | None, samples: Sequence[Array], reals: Sequence[Array] | None, steps: int
) -> tuple[Verification, list[str]]:
    """(what was found, what to say of the line to the board)."""
    from tinycompile.verify.compare import verify_build

    if place is None:
        return verify_build(build, samples, reals, steps), []
    from tinycompile.serial_link.console import console_of

    with console_of(build, place) as console:
        outcome = verify_build(build, samples, reals, steps, console)
        counts = sorted(console.ticks)
        spread = f"{counts[0]:,}" if counts[0] == counts[-1] else f"{counts[0]:,} to {counts[-1]:,}"
        return outcome, [
            f"on {console.name}: {console.link.described}",
            f"{spread} ticks of its counter per inference",
        ]


def _labels(build: Build) -> dict[str, str]:
    """Layers' labels, as profile and report have them, by the names of their tensors, which can have 300 characters."""
    from tinycompile.report.layer_labels import layer_labels

    layers = build.report["layers"]
    labelled = list(zip(layers, layer_labels(layers), strict=True))
    return {entry["name"]: label for layer, label in labelled for entry in layer["outputs"]} | {
        layer["name"]: label for layer, label in labelled
    }


def _mismatch(outcome: Verification, labels: Mapping[str, str]) -> MismatchError:
    wrong = [
        f"{labels.get(layer.name, layer.name)}: {layer.differences:,}" for layer in outcome.layers if layer.differences
    ]
    listed = "; ".join(wrong[:8]) + ("; ..." if len(wrong) > 8 else "")
    found = outcome.difference
    first = "" if found is None else found.describe(labels.get(found.layer, ""))
    return MismatchError(
        f"the firmware deviates from the reference in {outcome.differences:,} of {outcome.values:,} values",
        why=f"{first}\n  in {len(wrong)} layers and outputs: {listed}",
        hint="`tinycompile bisect` shows where it begins",
    )


def _left_open(outcome: Verification, labels: Mapping[str, str]) -> Iterator[str]:
    """What the reference leaves open, and how that was decided; what wasn't compared."""
    from tinycompile.verify.reference import TOLERANCE

    asked = outcome.witnesses
    if outcome.ties:
        first, decides = asked[0], next((each for each in asked if each.role == "decides ties"), asked[0])
        floats = f"ties of {first.name} {first.version}'s float sums"
        yield f"{outcome.ties:,} of these are {floats}, decided by {decides.name} {decides.version} with exact sums"
    if outcome.bounded:
        largest = f"at most {outcome.error:.1e} off"
        largest += ", of 16 bits within two of their steps" if outcome.error > TOLERANCE else ""
        yield f"{outcome.bounded:,} of these are floats within {TOLERANCE:g} of their tensor's largest, {largest}"
    if outcome.skipped:
        names = list(dict.fromkeys(labels.get(name, name) for name in outcome.skipped))
        rest = len(names) - _MOST_SKIPPED
        more = f" and {rest} more; certificate.json has all" if rest > 1 else ""
        skipped = ", ".join(names[:_MOST_SKIPPED] if more else names)
        yield f"not compared, as the source model lacks them or no runtime computes them: {skipped}{more}"


_MOST_RANGES = 5
_MOST_SKIPPED = 6


def _clipping(outcome: Verification) -> Iterator[str]:
    """What real samples say of the ranges."""
    from tinycompile.verify.clipping import LEAST_LOSS

    found = outcome.clipping
    if found is None:
        return
    for name, db in found.outputs:
        yield f"output {name}: {db:.1f} dB to the same model on floats, over {_counted(found.samples)}"
    worst = found.worst
    yield f"{len(worst)} of {len(found.tensors)} quantised tensors clip, which costs them {LEAST_LOSS} dB or more"
    for t in worst[:_MOST_RANGES]:
        beyond = f"{t.clipped / t.values:.2%} beyond {t.low:.4g} to {t.high:.4g}"
        real = f"real values {t.least:.4g} to {t.largest:.4g}"
        yield f"  {t.label} ({t.operator}): {beyond}, {real}; {t.lost:.1f} dB lost"
    if len(worst) > _MOST_RANGES:
        yield f"  ... and {len(worst) - _MOST_RANGES} more; certificate.json has all"


def _compared(found: dict[str, Any]) -> str:
    counts = f"{_counted(found['samples'])}, {found['tensors']} tensors, {found['values']:,} values, 0 differences"
    return f"{counts}; {found['reference']['name']} {found['reference']['version']}"


@command(short_help="Find the first tensor that deviates from the reference.")
@click.argument("folder", type=PATH)
@samples_option("Samples: .npz or .npy.", required=True)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples, or sequences.")
@click.option("--sequence", is_flag=True, help=SEQUENCE)
@click.option("--model", help="Which one, where FOLDER has several.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@explained
def bisect(
    folder: Path, samples_file: Path, limit: int | None, sequence: bool, model: str | None, as_json: bool
) -> None:
    """Find the first tensor, in the order of execution, in which FOLDER's firmware deviates from the reference.

    Exit code 1 if there is one, 0 if not.
    """
    from tinycompile.build import Build
    from tinycompile.verify.compare import bisect_build

    build = Build(folder, model=model)
    if sequence:
        samples, _, steps = build.sequences(samples_file, limit)
    else:
        samples, steps = build.real_samples(samples_file, limit)[0], 0
    found = bisect_build(build, samples, steps)
    first = found.difference
    if as_json:
        difference = None if first is None else asdict(first)
        print_json(
            {"samples": found.samples, "agreed": found.agreed, "difference": difference, "unknown": found.unknown}
        )
        sys.exit(0 if first is None else 1)
    if first is None:
        click.echo(f"no deviation: {_counted(found.samples)}, {found.agreed} tensors agree")
        return
    layers = build.report["layers"]
    if first.number is None:
        place = f"{first.layer} of the plain firmware; every layer of the trace build agrees"
    else:
        label, kernel = _labels(build).get(first.layer, ""), layers[first.number]["kernel"]
        place = f"layer {first.number} of {len(layers)}, {label} ({first.layer!r}), kernel {kernel}"
    click.echo(f"first deviation: sample {first.sample}, {place}")
    click.echo(f"  tensor    {first.tensor}")
    click.echo(f"  shape     {first.dtype}[{'x'.join(map(str, first.shape))}]")
    click.echo(f"  index     {list(first.index)}")
    click.echo(f"  expected  {first.expected}")
    click.echo(f"  got       {first.got}")
    click.echo(f"  differ    {first.count:,} of {first.size:,} values")
    click.echo(f"  before it {found.agreed} tensors agree")
    if found.unknown:
        click.echo(f"  between, not compared: {', '.join(found.unknown)}")
    sys.exit(1)
