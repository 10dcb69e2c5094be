"""The command line. Exit codes: 0 success, 1 firmware and reference disagree, 2 a mistake we can explain."""

from __future__ import annotations

import click

from tinycompile import __version__
from tinycompile.cli.catalog import ops, targets
from tinycompile.cli.compile import build, plan
from tinycompile.cli.device import flash, monitor
from tinycompile.cli.profile import profile
from tinycompile.cli.quantize import calib, quantize
from tinycompile.cli.samples import bisect, run, verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tinycompile")
def main() -> None:
    """Trained models to bare-metal C for microcontrollers, bit for bit."""


for command in (build, plan, calib, quantize, run, verify, bisect, profile, flash, monitor, targets, ops):
    main.add_command(command)
