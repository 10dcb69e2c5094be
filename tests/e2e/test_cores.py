"""The real models on every kind of core: bit-exact, and within the instructions that the kernels promise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tinycompile
from tests.e2e.test_golden import inputs_of, same_values
from tests.support.full import FULL

SAMPLES = 2
PER_MAC = {"rp2040": 2.7, "microbit": 3.5, "mps2-an385": 2.8, "mps2-an386": 1.35, "mps2-an505": 1.0}
"""Instructions per nominal MAC; rp2040 counts what an M0+ executes (QEMU's M3 runs ARMv6-M code)."""

CODE = 24 * 1024
MUCH_CODE = {("mps2-an505", "vww_96_int8"): 44 * 1024}
"""Bytes, and where `balanced` takes functions made for single layers: with 4 MiB of flash the last 14 KiB, 0.35 %,
save 3.6 % of the instructions. With 1 MiB it takes 35 KiB of code for 1.03 times the instructions of `speed`, which has
53 KiB.
"""

HELIUM = {"ad01_int8": 45_000, "kws_ref_model": 650_000, "ic_resnet8_int8": 2_150_000, "vww_96_int8": 1_320_000}


@pytest.mark.parametrize(
    ("target", "model"),
    [
        ("rp2040", "ic_resnet8_int8"),
        ("microbit", "kws_ref_model"),
        ("mps2-an385", "kws_ref_model"),
        ("mps2-an386", "kws_ref_model"),
        ("mps2-an505", "vww_96_int8"),
        *(("mps3-an547", model) for model in HELIUM if model != "vww_96_int8" or FULL),
    ],
)
def test_golden_samples_on_every_core(target: str, model: str, shared: Callable[[str], Path], tmp_path: Path) -> None:
    build = tinycompile.compile(shared(f"models/{model}.tflite"), target=target, output=tmp_path / "out")
    inputs, expected = inputs_of(shared(f"golden/{model}.npz"))
    assert same_values(build.run(*[x[:SAMPLES] for x in inputs], on="qemu"), [y[:SAMPLES] for y in expected])
    limit = HELIUM[model] if target == "mps3-an547" else PER_MAC[target] * build.report["macs"]["nominal"]
    assert build.report["run"]["instructions"] <= limit
    assert build.report["flash"]["code_bytes"] <= MUCH_CODE.get((target, model), CODE)
