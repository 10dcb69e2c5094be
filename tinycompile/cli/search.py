"""`search`, `spaces` and `cost-table`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycompile.cli._help import command
from tinycompile.cli._shared import PATH, Bytes, choice_option, explained, force_option, progress, say, target_option
from tinycompile.errors import UsageError
from tinycompile.written import MARK, OVERWRITE, is_page_of_ours

if TYPE_CHECKING:
    from tinycompile.measuring import Measuring


class Count(click.ParamType[int]):
    """557415, 500K or 2M, in thousands."""

    name = "COUNT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip().upper()
        factor = {"K": 1_000, "M": 1_000_000}.get(text[-1:], 1)
        try:
            found = round(float(text[:-1] if factor > 1 else text) * factor)
        except (ValueError, OverflowError):
            found = 0
        if found < 1:
            self.fail(f"{value!r} is no number such as 500K or 2M", param, ctx)
        return found


class Parts(click.ParamType[tuple[float, ...]]):
    """0.5,0.75,1."""

    name = "PARTS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            return () if value == () else tuple(float(each) for each in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} are no numbers such as 0.5,0.75,1", param, ctx)


resolutions_option = click.option(
    "--resolutions",
    type=Parts(),
    default=(),
    help="Parts of the samples' rows and columns that networks may see, as one more parameter: 0.5,0.75,1.",
)


@command(short_help="Search a space for the best network that fits a board.")
@click.argument("space")
@target_option
@click.option("--data", type=PATH, required=True, help="Samples (.npz: x, y; x_test, y_test) to train and test with.")
@click.option("-o", "--output", type=PATH, required=True, help="The folder of the results, in which it goes on.")
@click.option("--ram", type=Bytes(), help="Limit for RAM, stack included.  [default: what the board has]")
@click.option("--flash", type=Bytes(), help="Limit for the firmware.  [default: what the board has]")
@click.option("--instructions", type=Count(), help="Limit for an inference: 2M.")
@click.option("--trials", default=64, show_default=True, help="Candidates to train.")
@click.option("--epochs", default=30, show_default=True, help="Of a candidate.")
@click.option("--final-epochs", default=120, show_default=True, help="Of the best.")
@click.option("--finalists", default=4, show_default=True, help="Candidates of the front that are trained at length.")
@click.option("--supernet", default=0, help="Epochs of networks that share weights, which candidates begin with.")
@click.option("--widths", type=Parts(), default=(), help="Also one firmware of the best at narrower widths: 0.75,0.5.")
@click.option(
    "--folds", type=int, help="So often a candidate is trained and judged.  [default: 3, 1 with many samples]"
)
@click.option("--shift", default=1, show_default=True, help="Pixels or steps by which samples are moved at the most.")
@click.option("--noise", default=0.0, show_default=True, help="What is added to samples, of their standard deviation.")
@click.option("--batch", default=32, show_default=True, help="Samples of a training step.")
@choice_option("--sampler", ("tpe", "random", "direct"), "How the next candidate is chosen.")
@click.option(
    "--direct-epochs", default=40, show_default=True, help="Of --sampler direct: weights and choice together."
)
@click.option(
    "--cost-weight", default=1.0, show_default=True, help="Of --sampler direct: of the loss for instructions."
)
@click.option("--rate", default=4e-3, show_default=True, help="The highest learning rate.")
@resolutions_option
@click.option("--seed", default=0, show_default=True, help="The same seed finds the same with any number of workers.")
@click.option("--workers", default=1, show_default=True, help="Processes that train.")
@click.option("--engine", help="Who trains: dask://host:port or ray://host:port.  [default: processes here]")
@click.option("--trainer", help="A Python file with a function train, in place of ours.")
@click.option(
    "--measure", is_flag=True, help="Compile each candidate and count its instructions in QEMU, in place of estimates."
)
@click.option("--storage", help="Where Optuna keeps the candidates (a URL).  [default: a file in the folder]")
@explained
def search(space: str, **options: Any) -> None:
    """Search a SPACE of networks for the best that fit a board: mobile, plain, separable, hybrid, or a Python file."""
    from tinycompile.search.driver import front_lines, run
    from tinycompile.search.prices import Limits
    from tinycompile.search.settings import Search
    from tinycompile.search.trainer import Recipe

    limits = Limits(*(options.pop(name) for name in ("ram", "flash", "instructions")))
    recipe = Recipe(**{name: options.pop(name) for name in ("epochs", "batch", "rate", "shift", "noise")})
    data: Path = options.pop("data")
    found = run(Search(space, data, limits=limits, recipe=recipe, **options), click.echo)
    widths = [] if found.slimmed is None else found.slimmed.lines()
    for line in (*front_lines(found.front, found.best.firmware), *found.best.lines(), *widths):
        say(line)
    wide = "widths/, " if widths else ""
    click.echo(f"in {options['output']}: best.onnx, firmware/, {wide}index.html, front.json")


class Values(click.ParamType[tuple[str, tuple[str, ...]]]):
    """width=8,16, or width for all that it may be."""

    name = "PARAMETER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[str, ...]]:
        name, _, values = str(value).partition("=")
        return name, tuple(each for each in values.split(",") if each)


PRICING_OPTIONS = (
    target_option,
    click.option("--shape", required=True, help="Of a sample: 1,8,8."),
    click.option(
        "--classes", type=click.IntRange(2), default=10, show_default=True, help="Of the samples: outputs of a network."
    ),
    click.option("--ram", type=Bytes(), help="Limit for RAM, stack included.  [default: what the board has]"),
    click.option("--flash", type=Bytes(), help="Limit for the firmware.  [default: what the board has]"),
    click.option("--instructions", type=Count(), help="Limit for an inference: 2M."),
    resolutions_option,
)


def pricing_options(function: Callable[..., None]) -> Callable[..., None]:
    """What commands are told that price networks and train none."""
    for option in reversed(PRICING_OPTIONS):
        function = option(function)
    return function


@command(short_help="Compare spaces of networks by what fits a board.")
@click.argument("names", metavar="SPACE...", nargs=-1, required=True)
@pricing_options
@click.option("--by", type=Values(), multiple=True, help="Compare the parts with these values: width=8,16, or width.")
@click.option("--samples", type=click.IntRange(1), default=100, show_default=True, help="Networks of each part.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed draws the same.")
@click.option(
    "--measure",
    is_flag=True,
    flag_value="all",
    default="none",
    help="Count each layer that networks have in QEMU, once, in place of estimates.",
)
@click.option("-o", "--output", type=PATH, help="A picture of the distributions (.svg).")
@force_option(OVERWRITE)
@explained
def spaces(names: tuple[str, ...], output: Path | None, force: bool, measure: Measuring, **options: Any) -> None:
    """Compare SPACEs (mobile, plain, separable, hybrid, Python files), or parts of them, by the work of what fits."""
    from tinycompile.search.first_stage import compared, part_lines, part_picture, parts_of
    from tinycompile.search.prices import Limits, Prices
    from tinycompile.search.space import Space, load_space
    from tinycompile.staging import may_write

    limits = Limits(*(options[name] for name in ("ram", "flash", "instructions")))
    shape, classes, target = _shape_of(options["shape"]), options["classes"], options["target"]
    told = None if sys.stderr.isatty() else partial(click.echo, err=True)
    parts, by = list[tuple[str, Space]](), dict[str, list[str]]()
    for key, few in options["by"]:
        by.setdefault(key, []).extend(few)
    for space in (load_space(name, options["resolutions"]) for name in names):
        parts += parts_of(space, {key: space.known(key, few) for key, few in by.items()})
    read = [Path(name) for name in names]
    with nullcontext() if output is None else may_write(output, is_page_of_ours, read=read, force=force) as picture:
        with progress():
            found = compared(
                parts,
                lambda space, title: Prices(space, shape, classes, target, limits, measure, told, title),
                options["samples"],
                options["seed"],
            )
        if picture is not None:
            picture.write_text(f"<!-- {MARK} -->\n{part_picture(found)}")
    for line in part_lines(found):
        say(line)


@command(short_help="Write what each block of a space costs, for a cost loss.")
@click.argument("space")
@pricing_options
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed draws the same.")
@click.option("-o", "--output", type=PATH, required=True, help="The table (.json).")
@force_option(OVERWRITE)
@explained
def cost_table(space: str, output: Path, force: bool, **options: Any) -> None:
    """Write a table of what each block of a SPACE costs, by the parameters that it depends on.

    Entries are means over some networks that keep the limits.
    """
    from tinycompile.search.cost_table import cost_table as table_of
    from tinycompile.search.cost_table import is_table
    from tinycompile.search.prices import Limits
    from tinycompile.search.space import load_space
    from tinycompile.staging import may_write

    limits = Limits(*(options[name] for name in ("ram", "flash", "instructions")))
    with may_write(output, is_table, read=[Path(space)], force=force) as path:
        with progress():
            found = table_of(
                load_space(space, options["resolutions"]),
                _shape_of(options["shape"]),
                options["classes"],
                options["target"],
                limits,
                options["seed"],
            )
        found.save(path)
    for line in found.lines():
        say(line)


def _shape_of(text: str) -> tuple[int, ...]:
    """Raises UsageError: no numbers."""
    try:
        found = tuple(int(size) for size in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise UsageError(f"--shape {text} is no shape of a sample", hint="channels, height and width: 1,8,8")
    return found
