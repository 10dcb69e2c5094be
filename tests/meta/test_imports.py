"""What a command loads: time that each of them takes before it does anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pandas", "networkx", "onnx", "onnxruntime", "ortools", "scipy", "ai_edge_litert")


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("tinycompile.cli", ("numpy", "rich", *HEAVY)),
        ("tinycompile.pipeline", ("tinycompile.quantize", "tinycompile.frontend.onnx", "tinycompile.verify", *HEAVY)),
    ],
)
def test_loads_little(module: str, without: tuple[str, ...]) -> None:
    """The command line no compiler, a compiler of .tflite files nothing of ONNX and of quantisation."""
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(without).intersection(loaded)
