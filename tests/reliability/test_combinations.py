"""A few of `combinations`: options and forms of files that no other test puts together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.combinations import check

pytest.importorskip("ai_edge_litert", reason="needs LiteRT")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "seed", "emulate"),
    [
        ("tflite", 9, True),  # outputs that are constants, separate weights, streams, an update
        ("tflite", 8, False),  # a signature, outputs listed twice and an input among them
        ("onnx", 38, False),  # aligned words, channels last, an initializer as output
        ("onnx", 49, True),  # 64-bit division on a core without one
    ],
)
def test_combination(kind: str, seed: int, emulate: bool, tmp_path: Path) -> None:
    assert check(kind, seed, tmp_path, emulate) == "agrees"
