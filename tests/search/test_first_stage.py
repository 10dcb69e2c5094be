"""Parts of a space compared by the work that their networks do within the limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from tinycompile.cli import main
from tinycompile.errors import UsageError
from tinycompile.search.curves import Curve, Mark, picture
from tinycompile.search.first_stage import Part, compared, part_lines, part_picture, parts_of
from tinycompile.search.prices import Prices
from tinycompile.search.space import Config, Space
from tinycompile.search.study import Priced

SPACE = Space("s", {"width": (1, 2, 3), "deep": (True, False)}, lambda *_: None, "s")


def price(config: Config) -> Priced:
    """Width 3 means no network if it is deep, and doesn't fit otherwise; a shallow network isn't wider than 2."""
    width, deep = int(config["width"]), bool(config["deep"])
    if width == 3 and deep:
        return Priced(None, (10.0,), "none", is_none=True)
    figures = {"instructions": 1, "macs": (10 if deep else 1) * min(2, width)}
    return Priced(figures, (width - 2.0,), f"{deep} {width}")


def test_the_part_whose_networks_do_the_most_work_is_the_choice() -> None:
    parts = parts_of(SPACE, {"deep": [False, True]})
    found = compared(parts, lambda _space, _title: cast(Prices, price), 40, 0)
    assert [(part.name, part.macs, part.sampled) for part in found] == [
        ("s deep=True", (10, 20), 2),
        ("s deep=False", (1, 2), 3),
    ]
    everything = compared(parts_of(SPACE, {}), lambda _space, _title: cast(Prices, price), 60, 0)
    assert [part.name for part in everything] == ["s"]
    assert (everything[0].macs, everything[0].sampled) == ((1, 2, 10, 20), 5)
    assert everything[0].fitting == 0.8
    assert everything[0].mean == 8.25


def test_lines_and_picture() -> None:
    parts = [Part("wide", (10, 30), 4), Part("narrow", (1, 2, 3), 3), Part("none", (), 5)]
    lines = part_lines(parts)
    assert lines[1].split() == ["wide", "50%", "20", "20", "26"]
    assert lines[-1] == "choice: wide, whose networks do the most work within the limits"
    assert part_lines(parts[2:])[-1] == "choice: none, as no network fits"
    drawn = str(part_picture(parts))
    assert drawn.count("<polyline") == 2
    assert "narrow" in drawn
    assert "<circle" in picture([Curve([])], [Mark(3, 4, "<a>", strong=True)], "x", "y")


def test_parts_have_names_of_parameters() -> None:
    assert [name for name, _ in parts_of(SPACE, {"width": [1, 3]})] == ["s width=1", "s width=3"]
    with pytest.raises(UsageError, match="no parameter 'depth'"):
        parts_of(SPACE, {"depth": []})
    assert SPACE.known("deep", ["True", "maybe"]) == [True, "maybe"]


def test_command(tmp_path: Path) -> None:
    picture = tmp_path / "s.svg"
    arguments = [
        "spaces",
        "separable",
        "--target",
        "stm32f103",
        "--shape",
        "3,1,20",
        "--by",
        "depth=0",
        "--samples",
        "3",
    ]
    done = CliRunner().invoke(main, [*arguments, "-o", str(picture)])
    assert done.exit_code == 0, done.output
    assert "choice: separable depth=0" in done.stdout
    assert picture.read_text().splitlines()[1].startswith("<svg")
    assert CliRunner().invoke(main, [*arguments[:-2], "--samples", "1", "-o", str(picture)]).exit_code == 0
    picture.write_text("the user's")
    refused = CliRunner().invoke(main, [*arguments, "-o", str(picture)])
    assert "there is a file already which this command didn't write" in refused.output
    assert picture.read_text() == "the user's"
    wrong: Any = CliRunner().invoke(main, [*arguments[:4], "--shape", "8xx", "--samples", "1"])
    assert wrong.exit_code == 2
    assert "is no shape of a sample" in wrong.output
    for option in ("--instructions=0", "--instructions=inf", "--instructions=5KM", "--samples=0", "--classes=1"):
        done = CliRunner().invoke(main, [*arguments, option])
        assert (done.exit_code, option.partition("=")[0] in done.output) == (2, True)
