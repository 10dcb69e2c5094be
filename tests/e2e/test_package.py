"""The package: quick to import, and a build needs no more than pyproject.toml's base dependencies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest

from tests.conftest import DIGITS, ROOT

_BLOCKER = """
import importlib.metadata as metadata, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        owners = owner_of.get(top, [])
        if owners and not any(o.lower().replace("_", "-") in allowed for o in owners):
            raise ModuleNotFoundError(f"{name} is not in the base dependencies")

owner_of = metadata.packages_distributions()
allowed = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Blocker())
"""


def _project() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _closure(names: list[str]) -> set[str]:
    """Distributions that pip would install with these, extras left out."""
    found, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            waiting += [_name(r) for r in requires(name) or [] if "extra ==" not in r]
        except PackageNotFoundError:  # for another platform
            continue
    return found


@pytest.mark.parametrize(
    "call",
    [
        f"tinycompile.compile({str(DIGITS / 'digits_int8.tflite')!r}, output='out')",
        f"tinycompile.compile({str(DIGITS / 'digits.onnx')!r}, target='host', dtype='float32', output='out')",
    ],
    ids=["tflite", "onnx"],
)
def test_a_build_needs_the_base_dependencies_only(call: str, tmp_path: Path) -> None:
    allowed = _closure([_name(r) for r in _project()[""]])
    assert not allowed & {"onnxruntime", "ai-edge-litert", "pillow", "pytest"}
    program = f"{_BLOCKER}\nimport tinycompile\n{call}\n"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", program, ",".join(sorted({*allowed, "tinycompile"}))], cwd=tmp_path, env=env, check=True
    )
    assert (tmp_path / "out" / "report.html").exists()


def test_extras() -> None:
    assert set(_project()) >= {"verify", "quantize", "flash", "dev"}


def _fastest(*arguments: str) -> float:
    """Seconds of the quickest of a few runs: others use this machine, too."""
    times = list[float]()
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def test_import_and_help_are_quick() -> None:
    assert _fastest("-c", "import tinycompile") < 0.3
    assert _fastest("-m", "tinycompile", "--help") < 0.5


@pytest.mark.parametrize("statement", ["import tinycompile", "import tinycompile.cli"])
def test_nothing_heavy_is_imported_up_front(statement: str) -> None:
    program = f"{statement}; import sys; print([m for m in ('numpy', 'onnx', 'ortools', 'jinja2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
