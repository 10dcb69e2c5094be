"""Quantised operators against onnxruntime: a few random models of each."""

from __future__ import annotations

import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.reliability.qoperators import difference
from tests.support.random_qoperators import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_random_models(kind: str) -> None:
    assert not [found for seed in range(6) if (found := difference(kind, seed))]
