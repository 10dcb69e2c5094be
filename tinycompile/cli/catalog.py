"""What there is: `targets` and `ops`."""

from __future__ import annotations

from pathlib import Path

import click

from tinycompile.cli._shared import FOLDER, explained


@click.command()
@click.option("--board-path", type=FOLDER, help="Folder with boards of your own.")
@explained
def targets(board_path: Path | None) -> None:
    """List the boards."""
    from tinycompile.targets import all_boards

    for name, board in all_boards(board_path).items():
        click.echo(f"{name:14} {board.description}")


@click.command()
@explained
def ops() -> None:
    """List the operators and their rules."""
    import inspect
    import textwrap

    from tinycompile.frontend.tflite_ops import IMPORTERS
    from tinycompile.ops import all_ops

    click.echo("TFLite operators that are read:")
    click.echo(textwrap.fill(", ".join(sorted(IMPORTERS)), 100, initial_indent="  ", subsequent_indent="  "))
    from tinycompile.frontend.onnx import IMPORTERS as ONNX_IMPORTERS

    click.echo("\nONNX operators that are read:")
    click.echo(textwrap.fill(", ".join(sorted(ONNX_IMPORTERS)), 100, initial_indent="  ", subsequent_indent="  "))
    click.echo("\nWhat is compiled, and its rules:")
    for kind, op in all_ops().items():
        rule = " ".join((inspect.getdoc(op) or "").split("\n\n")[0].split())
        click.echo(textwrap.fill(rule, 100, initial_indent=f"  {kind:24} ", subsequent_indent=" " * 27))
