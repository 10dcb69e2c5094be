"""What there is: `targets` and `ops`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycompile.cli._help import command
from tinycompile.cli._shared import PATH, explained, print_json, say
from tinycompile.errors import UsageError

if TYPE_CHECKING:
    from tinycompile.targets import Board


@command()
@click.option("--board-path", type=PATH, help="Folder with boards of your own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@explained
def targets(board_path: Path | None, as_json: bool) -> None:
    """List the boards."""
    from tinycompile.targets import all_boards

    if as_json:
        print_json([_board(board) for board in all_boards(board_path).values()])
        return
    for name, board in all_boards(board_path).items():
        say(f"{name:14}  {board.description}")


def _board(board: Board) -> dict[str, Any]:
    emulated = board.emulated()
    return {
        "name": board.name,
        "description": board.description,
        "core": board.core.name,
        "arch": board.core.arch,
        "features": sorted(board.core.features),
        "pipeline": board.core.pipeline,
        "toolchain": board.toolchain.name,
        "clock_hz": board.clock_hz,
        "memories": [
            {"name": m.name, "origin": m.origin, "bytes": m.bytes, "kind": m.kind, "external": m.external}
            for m in board.memories
        ],
        "emulated_by": None if emulated is None else emulated.name,
    }


@command()
@click.option("--markdown", "as_markdown", is_flag=True, help="Print SUPPORTED_OPS.md.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@explained
def ops(as_markdown: bool, as_json: bool) -> None:
    """List the operators and their rules."""
    import textwrap

    from tinycompile.ops import all_ops
    from tinycompile.report.operators import markdown, onnx_operators, operators, rule, tflite_operators

    if as_markdown and as_json:
        raise UsageError("--markdown and --json exclude each other")
    if as_markdown:
        click.echo(markdown(), nl=False)
        return
    if as_json:
        print_json(operators())
        return
    for what, names in (("TFLite", tflite_operators()), ("ONNX", onnx_operators())):
        click.echo(f"{what} operators that are read:")
        say(textwrap.fill(", ".join(names), 100, initial_indent="  ", subsequent_indent="  ") + "\n")
    click.echo("What is compiled, and its rules:")
    for kind, op in all_ops().items():
        say(textwrap.fill(rule(op), 100, initial_indent=f"  {kind:24} ", subsequent_indent=" " * 27))


@command(short_help="Print the script that completes commands and options.")
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
