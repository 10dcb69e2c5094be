"""examples/ab_update: power cuts at every byte of an update end with the old weights or the new ones."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.reliability.test_weights import network, some_weights
from tinycompile.build import Build
from tinycompile.errors import MismatchError


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ab_update_demo", ROOT / "examples" / "ab_update" / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trained(demo: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[Build]:
    """Three trainings of one small network."""
    folder = tmp_path_factory.mktemp("ab_update")
    found = list[Build]()
    for seed in range(3):
        (folder / f"{seed}.tflite").write_bytes(network(some_weights(seed)))
        found.append(demo.build(folder / f"{seed}.tflite", folder / str(seed), "mps2-an386"))
    return found


def test_every_power_cut_ends_with_old_or_new_weights(demo: ModuleType, trained: list[Build]) -> None:
    old, new, bad = trained
    x = np.random.default_rng(9).integers(-128, 128, (6, 6, 2)).astype(np.int8)
    own = [old.folder / name for name in ("firmware.elf", "firmware/main.c")]
    before = [path.read_bytes() for path in own]
    printed = demo.simulate(old, new, bad, x)
    assert before == [path.read_bytes() for path in own]  # its firmware is beside the build's
    counts = [int(number) for number in re.findall(r"\d+", printed)]
    bytes_written = 2 * old.report["weights_file"]["bytes"]
    assert len(counts) == 4 and counts[0] > bytes_written and counts[1] > 50 and counts[3] == 0, printed


def test_the_simulation_finds_an_update_without_a_trial(
    demo: ModuleType, trained: list[Build], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "sources"
    here.mkdir()
    for path in demo.HERE.glob("*.[ch]"):
        text = path.read_text()
        if path.name == "ab_update.c":
            assert text.count("choice.trial = record.confirmed != NOTED;") == 1
            text = text.replace("choice.trial = record.confirmed != NOTED;", "choice.trial = 0;")
        (here / path.name).write_text(text)
    monkeypatch.setattr(demo, "HERE", here)
    x = np.random.default_rng(9).integers(-128, 128, (6, 6, 2)).astype(np.int8)
    with pytest.raises(MismatchError, match="mixed weights after a cut"):
        demo.simulate(*trained, x, step=40)
