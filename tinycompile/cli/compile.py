"""`build` and `plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinycompile.cli._shared import FOLDER, compile_options, console, explained, options_of


@click.command()
@click.argument("models", type=FOLDER, nargs=-1, required=True)
@compile_options
@click.option("-o", "--output", type=FOLDER, help="Folder to create or replace.  [default: build/<model>]")
@click.option("--single-file", is_flag=True, help="Also write single/<model>.c: kernels and weights in one C file.")
@explained
def build(models: tuple[Path, ...], output: Path | None, **options: Any) -> None:
    """Compile MODELS (.tflite, .onnx) to C and firmware; several share one arena."""
    from tinycompile.pipeline import compile_together
    from tinycompile.report.table import print_report

    folder = output if output is not None else Path("build") / "+".join(model.stem for model in models)
    for result in compile_together(models, options_of(**options), output=folder):
        print_report(result.report, console())
        for line in (result.report.get("quantization") or {}).get("summary", ()):
            click.echo(line)
    click.echo(f"written to {folder}")


@click.command()
@click.argument("models", type=FOLDER, nargs=-1, required=True)
@compile_options
@click.option("--pareto", is_flag=True, help="What less RAM costs: schedules from much RAM to little.")
@explained
def plan(models: tuple[Path, ...], pareto: bool, **options: Any) -> None:
    """Print where everything of MODELS would be in memory, without building."""
    from tinycompile.pipeline import lower, pareto_fronts, quantized_sources
    from tinycompile.report.pareto import front_lines
    from tinycompile.report.plan import plan_lines
    from tinycompile.targets import load_board

    chosen = options_of(**options)
    chosen.check()
    board = load_board(chosen.target, chosen.board_path)
    with quantized_sources(models, chosen) as quantized:
        sources = [source for source, _ in quantized]
        if pareto:
            lines = (
                line for name, points in pareto_fronts(sources, board, chosen) for line in front_lines(name, points)
            )
        else:
            lines = plan_lines(*lower(sources, board, chosen))
        for line in lines:
            click.echo(line)
