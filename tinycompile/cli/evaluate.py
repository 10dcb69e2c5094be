"""`evaluate`: how good a build is on labelled samples."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycompile.cli._help import command
from tinycompile.cli._shared import PATH, console, explained, print_json, progress

if TYPE_CHECKING:
    from tinycompile.evaluation.limits import Limit

TASKS = ("auto", "classes", "positions", "binary", "anomaly", "reconstruction", "regression")


class Measure(click.ParamType[tuple[str, float]]):
    """A measure and its limit: top1=0.9."""

    name = "measure=limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value  # pyright: ignore[reportUnknownVariableType] - converted already: a default
        key, _, text = str(value).partition("=")
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            self.fail(f"{value!r} is no limit; write top1=0.9", param, ctx)
        return key, number


@command(short_help="Measure accuracy on labelled samples: firmware, reference, float.")
@click.argument("folder", type=PATH)
@click.option("--data", type=PATH, required=True, help="Samples (.npz): input_0, ... and y (or label, labels, target).")
@click.option("--on", type=click.Choice(("host", "qemu")), default="host", show_default=True, help="Where the C runs.")
@click.option("--float", "float_model", type=PATH, help="The float model (.onnx, .tflite), for a column of its own.")
@click.option("--no-reference", is_flag=True, help="Without the framework's column, which is slow for large models.")
@click.option("--task", type=click.Choice(TASKS), default="auto", show_default=True, help="What the output is.")
@click.option("--output-index", type=click.IntRange(min=0), help="Which output is measured.  [default: the scores]")
@click.option(
    "--threshold", type=float, default=0.5, show_default=True, help="From which on a single score means class 1."
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples, or sequences.")
@click.option(
    "--sequence", is_flag=True, help="The arrays are (sequences, steps, ...): states begin again before each."
)
@click.option("--at-least", type=Measure(), multiple=True, help="Exit code 1 below that: top1=0.9.")
@click.option("--at-most", type=Measure(), multiple=True, help="Exit code 1 above that: mse=0.01.")
@click.option("--jobs", type=click.IntRange(min=1), help="Threads for --on host.  [default: all processors]")
@click.option("--model", help="Which one, where FOLDER has several.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@explained
def evaluate(
    folder: Path,
    data: Path,
    on: str,
    float_model: Path | None,
    no_reference: bool,
    task: str,
    output_index: int | None,
    threshold: float,
    limit: int | None,
    sequence: bool,
    at_least: tuple[tuple[str, float], ...],
    at_most: tuple[tuple[str, float], ...],
    jobs: int | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Measure the build in FOLDER on labelled samples; exit code 1 if a limit is missed."""
    from tinycompile.build import Build
    from tinycompile.evaluation.data import load_labelled
    from tinycompile.evaluation.evaluate import evaluate_build
    from tinycompile.evaluation.limits import Limit, check_limits, check_measures
    from tinycompile.report.evaluation import lines, tables

    build = Build(folder, model=model)
    limits = [Limit(*each, at_least=True) for each in at_least] + [Limit(*each, at_least=False) for each in at_most]
    with progress(not as_json):
        samples = load_labelled(build, data, task=task, output=output_index, limit=limit, sequence=sequence)
        check_measures(build.model, samples.task, limits)
        facts = evaluate_build(
            build,
            samples,
            name=data.name,
            on=on,
            reference=not no_reference,
            float_model=float_model,
            threshold=threshold,
            jobs=jobs,
        )
    found = check_limits(build.model, facts, limits)
    if as_json:
        kept = [{"measure": f.limit.key, **_limit(f.limit), "value": f.value, "kept": f.kept} for f in found]
        print_json({"model": build.model, **facts, "limits": kept})
    else:
        for each in tables(build.report):
            console().print(each)
        for line in (*lines(build.report), *(finding.line() for finding in found)):
            click.echo(line)
    if not all(finding.kept for finding in found):
        sys.exit(1)


def _limit(limit: Limit) -> dict[str, float]:
    return {"at_least" if limit.at_least else "at_most": limit.value}
