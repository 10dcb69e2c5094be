"""Pages that say something of all classes: errors and warnings with their cures, the interface from docstrings."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import tinycompile
from tests.conftest import ROOT
from tests.docs.python_api import page
from tinycompile.errors import TinycompileError, TinycompileWarning
from tinycompile.quantize.calibration import SamplesNote

TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()
API = ROOT / "docs" / "python_api.md"


def descendants(kind: type) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from descendants(each)


@pytest.fixture(scope="module")
def kinds() -> set[str]:
    """Names of all errors and warnings that a user may meet."""
    for module in pkgutil.walk_packages(tinycompile.__path__, "tinycompile."):
        source = (ROOT / module.name.replace(".", "/")).with_suffix(".py")
        if source.exists() and re.search(r"^class \w+\(\w*(Error|Warning)\)", source.read_text(), re.MULTILINE):
            importlib.import_module(module.name)
    found = {*descendants(TinycompileError), *descendants(TinycompileWarning), SamplesNote}
    return {kind.__name__ for kind in found if kind.__module__.startswith("tinycompile")}


def test_every_error_has_its_cure(kinds: set[str]) -> None:
    parts = re.split(r"^### (\w+)$", TROUBLESHOOTING, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    # What is raised to be caught inside, and shown as its base where it isn't.
    inner = kinds & {"FirmwareTooLargeError", "RegionOverflowError"}
    assert set(sections) == kinds - inner
    assert all(len(text.split()) > 12 for text in sections.values())


def test_the_page_of_the_interface_is_current() -> None:
    assert API.read_text() == page(), "`make api` writes it anew"


def test_the_interface_has_what_the_package_offers() -> None:
    text = API.read_text()
    assert all(
        re.search(rf"^## `(tinycompile\.)?{name}`$", text, re.MULTILINE)
        for name in {*tinycompile.__all__} - {"__version__"}
    )


def test_the_way_of_a_newcomer_is_short_and_timed() -> None:
    """`make newcomer` runs it; here: how many commands, and that each has its time."""
    from tests.docs.newcomer import BEGIN, END, MOST, PAGE, commands

    found = commands()
    assert len(found) <= MOST and sum("--eval" in line for line in found) == 1
    times = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = re.findall(r"^\| `(\S+ \S+)` \| \d+ \| \d+ \|$", times, re.MULTILINE)
    assert rows == [" ".join(line.split()[:2]) for line in found], "`make newcomer` times them anew"
