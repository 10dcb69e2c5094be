"""`profile`."""

from __future__ import annotations

from pathlib import Path

import click

from tinycompile.cli._help import command
from tinycompile.cli._shared import PATH, console, explained, print_json, samples_option


@command(short_help="Count the instructions of each layer; estimate cycles.")
@click.argument("folder", type=PATH)
@samples_option("A sample: .npz or .npy.  [default: a fixed pattern]")
@click.option("--model", help="Which one, where FOLDER has several.")
@click.option("--json", "as_json", is_flag=True, help="Print the profile as JSON.")
@explained
def profile(folder: Path, samples_file: Path | None, model: str | None, as_json: bool) -> None:
    """Count the instructions of each layer of FOLDER's firmware in QEMU; estimate cycles."""
    from tinycompile.build import Build
    from tinycompile.profile import profile_build
    from tinycompile.report.profile import print_profile

    build = Build(folder, model=model)
    samples = None if samples_file is None else build.samples(samples_file, 1)
    found = profile_build(build, samples)
    if as_json:
        print_json(found)
    else:
        print_profile(build.report, console())
