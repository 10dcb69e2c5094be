"""What examples/ci and examples/notebook hold: commands that exist, files of the form that their readers expect."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DIGITS, ROOT
from tests.support.full import FULL
from tests.support.pages import environment
from tinycompile.cli import main

CI = ROOT / "examples" / "ci"
NOTEBOOK = ROOT / "examples" / "notebook" / "first_firmware.ipynb"


def commands() -> Iterator[str]:
    """Of tinycompile, in the order in which the files have them."""
    yield from re.findall(r"^ +run: (tinycompile .*)$", (CI / "budget.yml").read_text(), re.MULTILINE)
    for task in json.loads((CI / "tasks.json").read_text())["tasks"]:
        if task["command"].startswith("tinycompile "):
            yield task["command"]


def test_the_commands_are_ours() -> None:
    found = [shlex.split(line) for line in commands()]
    assert [words[1] for words in found] == ["build", "verify", "check", "diff", "build", "run", "verify"]
    for words in found:
        assert main.commands[words[1]].make_context(words[1], words[2:]).params


def test_tasks_depend_on_tasks() -> None:
    tasks = json.loads((CI / "tasks.json").read_text())["tasks"]
    labels = {task["label"] for task in tasks}
    assert {task["dependsOn"] for task in tasks if "dependsOn" in task} <= labels and len(labels) == len(tasks)


def test_the_container_installs_what_the_guide_says() -> None:
    text, guide = (CI / "Dockerfile").read_text(), (ROOT / "docs" / "getting_started.md").read_text()
    wanted = re.search(r"apt-get install (.*)", guide)
    assert wanted is not None and all(package in text for package in wanted[1].split())
    assert all(package in (CI / "budget.yml").read_text() for package in wanted[1].split())


def test_the_notebook_has_no_results() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and not any(cell["outputs"] or cell["execution_count"] for cell in code)
    compile("\n".join("".join(cell["source"]) for cell in code), str(NOTEBOOK), "exec")


@pytest.mark.skipif(not FULL, reason="its calls are those of other pages: `make test-full` runs it")
def test_the_notebook_and_the_budget_run(tmp_path: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    env = environment(tmp_path)
    subprocess.run([sys.executable, "-c", text], cwd=NOTEBOOK.parent, env=env, check=True, capture_output=True)
    (tmp_path / "model.tflite").write_bytes((DIGITS / "digits_int8.tflite").read_bytes())
    (tmp_path / "samples.npz").write_bytes((DIGITS / "digits_samples.npz").read_bytes())
    for line in commands():
        subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, check=True, capture_output=True)
        if " build " in line:
            (tmp_path / "baseline").mkdir(exist_ok=True)
            (tmp_path / "baseline" / "report.json").write_bytes((tmp_path / "out" / "report.json").read_bytes())
