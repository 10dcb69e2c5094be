"""Networks that nobody designed, through the whole compiler: every layer of the generated C against LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.full import also
from tests.support.random_model import RandomModel
from tinycompile.verify.compare import verify_build

pytest.importorskip("ai_edge_litert", reason="needs LiteRT")


TARGETS = {"stm32f746": range(3), "mps2-an386": (8, 9), "mps3-an547": range(13, 16), "rp2040": range(19, 21)}
MORE = {"stm32f746": range(3, 12), "mps2-an386": (*range(8), 10, 11), "mps3-an547": (12, 16, 17), "rp2040": (18, 21)}
CASES = [
    *((seed, target) for target, seeds in TARGETS.items() for seed in seeds),
    *also(*((seed, target) for target, seeds in MORE.items() for seed in seeds)),
]


@pytest.mark.parametrize(("seed", "target"), CASES)
def test_random_network_is_bit_exact_in_qemu(seed: int, target: str, tmp_path: Path) -> None:
    content, shape = RandomModel(seed).build(layers=3 + seed % 6)
    model = tmp_path / f"random_{seed}.tflite"
    model.write_bytes(content)
    optimize = ("balanced", "speed", "size", "ram")[seed % 4]
    build = tinycompile.compile(model, target=target, output=tmp_path / "out", optimize=optimize)
    samples = np.random.default_rng(seed).integers(-128, 128, (3, *shape)).astype(np.int8)
    outcome = verify_build(build, [samples])
    assert outcome.difference is None, outcome.difference.describe()
    on_host = build.run(samples)
    np.testing.assert_array_equal(on_host, build.run(samples, on="qemu"))
