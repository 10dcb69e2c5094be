"""`build` and `plan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycompile import choices
from tinycompile.cli._bits import Percent, build_with_few_bits
from tinycompile.cli._help import command
from tinycompile.cli._shared import (
    PATH,
    calibrated_option,
    compile_options,
    console,
    explained,
    force_option,
    options_of,
    print_json,
    progress,
    say,
    width_option,
    widths_of,
)
from tinycompile.errors import UsageError

if TYPE_CHECKING:
    from tinycompile.copy_choice import Estimate
    from tinycompile.costing import Cost
    from tinycompile.layout import Layout
    from tinycompile.lowered import Lowered
    from tinycompile.measuring import Measuring
    from tinycompile.options import Options
    from tinycompile.profile.calibrated import Calibration
    from tinycompile.targets import Board


cores_option = click.option(
    "--cores", type=int, default=1, help="2: the board's second core computes a part of each layer."
)


@command(short_help="Compile models to C, firmware and a report.")
@click.argument("models", type=PATH, nargs=-1, required=True)
@compile_options
@click.option("-o", "--output", type=PATH, help="Folder to create, or of an earlier build.  [default: build/<model>]")
@force_option("Overwrite generated files that were edited, and take a folder that no build made.")
@click.option("--compatible-with", type=PATH, help="New weights for the code of this older output folder.")
@click.option(
    "--harness", type=click.Choice(choices.HARNESS_CHOICES), help="Also a firmware for this benchmark's runner."
)
@width_option
@click.option("--single-file", is_flag=True, help="Also write single/<model>.c: kernels and weights in one C file.")
@cores_option
@click.option(
    "--steps",
    is_flag=False,
    flag_value="5%",
    help="Add <model>_invoke_steps(), which returns after so much of an inference: 5%, or 200k instructions.",
)
@click.option(
    "--pareto/--no-pareto", default=None, help="Add to the report what less RAM costs.  [default: if that is quick]"
)
@click.option(
    "--accuracy-loss",
    type=Percent(),
    help="Where --flash is too small, give layers few bits; how much may be lost by that: 1%.",
)
@click.option("--prune", type=click.Choice(["channels"]), help="With --accuracy-loss: channels may be removed as well.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but warnings and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Print every layer and memory.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else.")
@explained
def build(
    models: tuple[Path, ...],
    output: Path | None,
    force: bool,
    accuracy_loss: float | None,
    prune: str | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Compile MODELS (.tflite, .onnx) to C and firmware; several share one arena."""
    if quiet + verbose + as_json > 1:
        raise UsageError("--quiet, --verbose and --json exclude each other")
    if prune is not None and accuracy_loss is None:
        why = "channels are removed where --flash is too small; `tinycompile quantize --prune` removes them at once"
        raise UsageError("--prune needs --accuracy-loss", why=why)
    from tinycompile.pipeline import compile_together

    options["widths"] = widths_of(options["widths"])
    folder = output if output is not None else Path("build") / "+".join(model.stem for model in models)
    with progress(not (quiet or as_json)):
        if accuracy_loss is None:
            chosen, found = with_scheme(models, options_of(**options))
            results = compile_together(models, chosen, output=folder, force=force)
        else:
            quietly, pruning = quiet or as_json, prune is not None
            results = build_with_few_bits(
                models, options_of(**options), accuracy_loss, folder, prune=pruning, force=force, quiet=quietly
            )
            found = list[str]()
    if as_json:
        from tinycompile.report.document import load_document

        print_json(load_document(folder))
    elif not quiet:
        for line in found:
            say(line)
        _print_results([result.report for result in results], folder, verbose)


def with_scheme(models: Sequence[Path], options: Options) -> tuple[Options, list[str]]:
    """(options with what `--train auto` chooses, its table)."""
    if options.train != "auto":
        return options, []
    from tinycompile.contribution.automatic import automatic
    from tinycompile.lowering import quantized_sources

    options.check()
    with quantized_sources(models, options) as sources:
        found = automatic(sources[0][0], options)
    return found.applied(options), found.lines()


def _print_results(reports: list[dict[str, Any]], folder: Path, verbose: bool) -> None:
    from tinycompile.report.table import print_report
    from tinycompile.report.widths import width_lines

    for index, report in enumerate(reports):
        if index:
            click.echo()
        last = index == len(reports) - 1
        quantization: dict[str, Any] = report.get("quantization") or {}
        for line in quantization.get("summary", ()):
            say(line)
        for raised in quantization.get("raised_channels", ()) if verbose else ():
            click.echo(f"  {raised['text']}")
        print_report(report, console(), verbose=verbose, folder=folder if last else None)
    for number, line in enumerate(width_lines(reports)):
        click.echo(line if number else f"\n{line}")


@command(short_help="Print where everything would be in memory.")
@click.argument("models", type=PATH, nargs=-1, required=True)
@compile_options
@cores_option
@width_option
@click.option("--pareto", is_flag=True, help="What less RAM costs: schedules from much RAM to little.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@explained
def plan(models: tuple[Path, ...], pareto: bool, as_json: bool, **options: Any) -> None:
    """Print where everything of MODELS would be in memory, without building."""
    from tinycompile.lowering import pareto_fronts, quantized_sources
    from tinycompile.report.facts import pareto_facts
    from tinycompile.report.pareto import front_lines
    from tinycompile.report.plan import plan_facts, plan_lines
    from tinycompile.slimmable import with_widths_of

    options["widths"] = widths_of(options["widths"])
    chosen, found = with_scheme(models, options_of(**options))
    chosen.check()
    files: Sequence[str | Path] = models
    if chosen.widths:
        files, chosen = with_widths_of(models, chosen)
    board = chosen.board()
    if not as_json:
        for line in found:
            click.echo(line)
    with quantized_sources(files, chosen) as quantized:
        sources = [source for source, _ in quantized]
        if as_json:
            if pareto:
                fronts = pareto_fronts(sources, board, chosen)
                print_json([{"model": name, "pareto": [asdict(p) for p in pareto_facts(ps)]} for name, ps in fronts])
            else:
                print_json(plan_facts(*_planned(sources, chosen)))
            return
        if pareto:
            lines = (
                line for name, points in pareto_fronts(sources, board, chosen) for line in front_lines(name, points)
            )
        else:
            lines = plan_lines(*_planned(sources, chosen))
        for line in lines:
            say(line)


def _planned(sources: Sequence[Path], options: Options) -> tuple[list[Lowered], Layout, Estimate, Board]:
    """Models with their plans, and what start-up would copy."""
    from tinycompile.copy_choice import Estimate
    from tinycompile.core_choice import lower_for_cores

    options, board, lowered, layout = lower_for_cores(sources, options)
    return lowered, layout, Estimate.of([each.planned for each in lowered], layout, board, options), board


@command(short_help="Print RAM, flash, instructions and time, by estimates.")
@click.argument("models", type=PATH, nargs=-1, required=True)
@compile_options
@width_option
@calibrated_option
@click.option(
    "--measure",
    type=click.Choice(("none", "known", "all", "whole")),
    default="none",
    show_default=True,
    help="Layers that are compiled alone and counted in QEMU, not estimated: none, those that were before, or all; or "
    "the network as a whole, as it would be built.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list with an entry for each model.")
@explained
def cost(
    models: tuple[Path, ...], calibrated_by: Path | None, measure: Measuring, as_json: bool, **options: Any
) -> None:
    """Print what each of MODELS would take of the target, without building."""
    options["widths"] = widths_of(options["widths"])
    from tinycompile.cli._costs import cost_lines
    from tinycompile.costing import costs_of_files
    from tinycompile.profile.calibrated import load_calibration

    calibration = None if calibrated_by is None else load_calibration(calibrated_by, options["target"])
    with progress(shown=measure in ("all", "whole") or len(models) > 1):
        found = costs_of_files(models, options_of(**options), measure=measure)
    if as_json:
        print_json([{"model": str(model), **each.as_dict(), **_times(each, calibration)} for model, each in found])
        return
    for model, each in found:
        for line in cost_lines(model.stem, each):
            say(line)
        if calibration is not None:
            say(_calibrated(each, calibration))


def _times(cost: Cost, calibration: Calibration | None) -> dict[str, Any]:
    """For JSON: from and to, by what was measured."""
    rates = None if calibration is None else calibration.cycles_per_instruction
    if calibration is None or rates is None:
        return {}
    low, high = (1e3 * cost.instructions * rate / calibration.clock_hz for rate in rates)
    return {"calibrated_milliseconds": [low, high]}


def _calibrated(cost: Cost, calibration: Calibration) -> str:
    """The time that instructions take by what was measured."""
    rates = calibration.cycles_per_instruction
    if rates is None:
        return "  time   not calibrated: no instructions were counted of the measured models"
    low, high = _times(cost, calibration)["calibrated_milliseconds"]
    text = f"{low:,.3f} ms" if low == high else f"{low:,.3f} to {high:,.3f} ms"
    rate = f"{rates[0]:.3f}" if rates[0] == rates[1] else f"{rates[0]:.3f} to {rates[1]:.3f}"
    return f"  calibrated  {text}: {rate} cycles per instruction with waiting, by {calibration.origin}"
