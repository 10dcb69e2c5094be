"""The documentation: its code runs, its links lead somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import DIGITS, ROOT
from tests.support.full import FULL
from tests.support.pages import RUN, Block, blocks, missing, run_page

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md")])
LONG = {"field_update.md", "images.md", "python_api.md", "troubleshooting.md"}
LANGUAGES = {*RUN, "text", "c", "cmake", "toml", "yaml", "json", "make"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def runnable(block: Block) -> bool:
    return block.language in RUN and not block.reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the pages assume: a model in int8 and in float, samples, photos, data for calibration and evaluation."""
    for source, target in (("digits_int8.tflite", "model.tflite"), ("digits.onnx", "model.onnx")):
        shutil.copy(DIGITS / source, tmp_path / target)
    samples = np.load(DIGITS / "digits_samples.npz")["input_0"][:3]
    np.savez(tmp_path / "samples.npz", input_0=samples)
    data = np.load(DIGITS / "digits_calib.npz")
    np.savez(tmp_path / "calib.npz", input_0=data["input_0"])
    np.savez(tmp_path / "eval.npz", x=data["x"], y=data["y"])
    (tmp_path / "photos").mkdir()
    for index, image in enumerate(data["input_0"][:8]):
        Image.fromarray((image[..., 0] * 255).astype(np.uint8)).save(tmp_path / "photos" / f"{index}.png")
    return tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if any(runnable(b) for b in blocks(p))], ids=name)
def test_the_code_runs(page: Path, folder: Path) -> None:
    if page.name in LONG and not FULL:
        pytest.skip("its commands are those of other pages: `make test-full` runs it")
    absent = missing(page)
    if absent:
        pytest.skip(f"needs {', '.join(absent)}: `make guides`")
    run_page(page, folder)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page}:{block.line}: {block.language!r}"
        assert not block.reason or len(block.reason) > 8, f"{page}:{block.line}: a reason is wanted"
    fences = re.findall(r"^```", page.read_text(), re.MULTILINE)
    assert len(fences) == 2 * len(blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"https?://|mailto:|#", link):
            assert (page.parent / link.partition("#")[0]).exists(), f"{name(page)} links to {link}"
