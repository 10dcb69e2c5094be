"""Gradients against PyTorch's autograd; `make training-gradients` compares more networks."""

from __future__ import annotations

import pytest

from tests.training.networks import KINDS, MORE_KINDS, RandomNetwork, with_factors

pytest.importorskip("torch", reason="PyTorch isn't installed: pip install tinycompile[training]")


def test_random_networks():
    from tests.training.autograd import WITHIN, differences

    for seed in range(10):
        network = RandomNetwork(100 + seed)
        graph = network.grow(8, KINDS + MORE_KINDS)
        found = differences(graph, network.sample, (None, with_factors)[seed % 2])
        assert found
        assert max(found.values()) <= WITHIN, f"network {100 + seed}: {found}"
