"""The command line."""

from __future__ import annotations

import gc

import click

from tinycompile.cli._help import Commands
from tinycompile.cli.catalog import completion, ops, targets
from tinycompile.cli.compile import build, cost, plan
from tinycompile.cli.device import flash, monitor, new
from tinycompile.cli.evaluate import evaluate
from tinycompile.cli.profile import bench, profile
from tinycompile.cli.quantize import calib, quantize
from tinycompile.cli.report import check, diff, inspect
from tinycompile.cli.samples import bisect, run, verify
from tinycompile.cli.search import cost_table, search, spaces
from tinycompile.cli.training import train
from tinycompile.version import __version__

EXIT_CODES = """Exit codes: 0 success; 1 the answer is no (firmware and reference disagree, a budget is exceeded); 2 a
mistake, or a model that can't be compiled, which the message explains; 130 interrupted."""


COLLECTED_AFTER = 20_000
"""Objects that are made until Python looks for those in circles that nobody needs."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__, prog_name="tinycompile")
def main() -> None:
    """Trained models to bare-metal C for microcontrollers, bit for bit."""
    # A command makes many objects, keeps most of them, and ends: to look for garbage after every 700 takes 5 % of it.
    gc.set_threshold(COLLECTED_AFTER, 20, 20)


COMMANDS = (
    inspect,
    calib,
    quantize,
    search,
    spaces,
    cost_table,
    build,
    plan,
    cost,
    new,
    run,
    verify,
    bisect,
    evaluate,
    profile,
    bench,
    train,
    check,
    diff,
    targets,
    flash,
    monitor,
    ops,
    completion,
)
for command in COMMANDS:
    main.add_command(command)
