"""The wheel carries templates, runtime and boards, and compiles a model outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tests.conftest import DIGITS, ROOT


def test_wheel_compiles_a_model_outside_the_checkout(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(tmp_path / "wheel"), str(ROOT)], check=True)
    (wheel,) = (tmp_path / "wheel").glob("tinycompile-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    program = (
        "import tinycompile, sys; assert tinycompile.__file__.startswith(sys.argv[1]); "
        "tinycompile.compile(sys.argv[2], target='stm32f746', output='out'); "
        "from tinycompile.cli import main; main(['new', 'app', '--app', 'kws'])"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(site), str(DIGITS / "digits_int8.tflite")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        check=True,
    )
    assert (tmp_path / "out" / "firmware.elf").exists()
    assert (tmp_path / "app" / "model.onnx").exists() and (tmp_path / "app" / "Makefile").exists()
    assert (site / "tinycompile" / "profile" / "plugin.c").exists()
    assert (site / "tinycompile" / "py.typed").exists()
    (info,) = site.glob("tinycompile-*.dist-info")
    assert "Apache License" in (info / "licenses" / "LICENSE").read_text()
    assert "Zero Clause" in (info / "licenses" / "LICENSES" / "0BSD.txt").read_text()
    found = metadata.PathDistribution(info).metadata
    assert found["License-Expression"] == "Apache-2.0 AND 0BSD"
    assert found["Author"] and found["Keywords"] and "Typing :: Typed" in found.get_all("Classifier", [])
    assert {"Homepage", "Issues"} <= {url.split(",")[0] for url in found.get_all("Project-URL", [])}
