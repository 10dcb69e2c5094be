"""What there is: `targets` and `ops`."""

from __future__ import annotations

from pathlib import Path

import click

from tinycompile.cli._shared import FOLDER, explained
from tinycompile.errors import UsageError


@click.command()
@click.option("--board-path", type=FOLDER, help="Folder with boards of your own.")
@explained
def targets(board_path: Path | None) -> None:
    """List the boards."""
    from tinycompile.targets import all_boards

    for name, board in all_boards(board_path).items():
        click.echo(f"{name:14} {board.description}")


@click.command()
@click.option("--markdown", "as_markdown", is_flag=True, help="Print SUPPORTED_OPS.md.")
@explained
def ops(as_markdown: bool) -> None:
    """List the operators and their rules."""
    import textwrap

    from tinycompile.ops import all_ops
    from tinycompile.report.operators import markdown, onnx_operators, rule, tflite_operators

    if as_markdown:
        click.echo(markdown(), nl=False)
        return
    for what, names in (("TFLite", tflite_operators()), ("ONNX", onnx_operators())):
        click.echo(f"{what} operators that are read:")
        click.echo(textwrap.fill(", ".join(names), 100, initial_indent="  ", subsequent_indent="  ") + "\n")
    click.echo("What is compiled, and its rules:")
    for kind, op in all_ops().items():
        click.echo(textwrap.fill(rule(op), 100, initial_indent=f"  {kind:24} ", subsequent_indent=" " * 27))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
@explained
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and boards: eval "$(tinycompile completion bash)"."""
    from click.shell_completion import get_completion_class

    writer = get_completion_class(shell)
    if writer is None:
        raise UsageError(f"click can't complete in {shell}")
    click.echo(writer(context.find_root().command, {}, "tinycompile", "_TINYCOMPILE_COMPLETE").source())
