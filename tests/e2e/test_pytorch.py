"""A CNN trained in PyTorch and exported by torch.onnx (tests/data/pytorch_cnn), in one command to the board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tinycompile.verify.compare import verify_build

DATA = Path(__file__).parent.parent / "data" / "pytorch_cnn"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    with np.load(DATA / "pytorch_cnn.npz") as file:
        return {name: file[name] for name in file.files}


def test_round_trip(samples: dict[str, np.ndarray], tmp_path: Path) -> None:
    calib = tmp_path / "calib.npz"
    np.savez(calib, image=samples["calib"])
    build = tinycompile.compile(DATA / "pytorch_cnn.onnx", target="stm32f746", output=tmp_path / "out", calib=calib)
    scores = np.asarray(build.run(samples["x"])).reshape(len(samples["x"]), -1)
    on_board = np.asarray(build.run(samples["x"][:4], on="qemu")).reshape(4, -1)
    np.testing.assert_array_equal(on_board, scores[:4])
    assert np.mean(scores.argmax(axis=1) == samples["output"].argmax(axis=1)) >= 0.97
    assert np.mean(scores.argmax(axis=1) == samples["y"]) >= 0.97
    outcome = verify_build(build, [samples["x"][:2].reshape(2, *build.inputs[0].shape)])
    assert outcome.difference is None


def test_float32(samples: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Without quantisation: PyTorch's own outputs."""
    build = tinycompile.compile(DATA / "pytorch_cnn.onnx", target="host", output=tmp_path / "out", dtype="float32")
    scores = np.asarray(build.run(samples["x"][:20])).reshape(20, -1)
    np.testing.assert_allclose(scores, samples["output"][:20], atol=1e-4)
