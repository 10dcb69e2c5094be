"""Probabilities of support vector machines against onnxruntime, and their kernel against the definition."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.frontend.test_onnx_ml import machine
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, site_of
from tests.support.random_forest import by_onnxruntime, by_us, imported
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import TensorType
from tinycompile.kernels.class_ends import coupled_probabilities
from tinycompile.ops.coupled_probabilities import CoupledProbabilities

ROWS = 200


def parameters(classes: int) -> tuple[list[float], list[float]]:
    rng, pairs = np.random.default_rng(classes), classes * (classes - 1) // 2
    return rng.uniform(-3, -0.5, pairs).tolist(), rng.normal(0, 0.3, pairs).tolist()


@pytest.mark.parametrize("sizes", [[4, 5], [4, 3, 5, 2]], ids=["two", "four"])
def test_against_onnxruntime(sizes, tmp_path):
    """Labels are those of votes, not of probabilities."""
    a, b = parameters(len(sizes))
    model = machine("SVMClassifier", "RBF", sizes, prob_a=a, prob_b=b)
    x = np.random.default_rng(1).normal(100, 1, (ROWS, 4)).astype(np.float32)
    (label, got), (want_label, want) = by_us(imported(model, tmp_path / "m.onnx", ROWS), x), by_onnxruntime(model, x)
    np.testing.assert_array_equal(label, want_label)
    np.testing.assert_allclose(got, want, atol=2e-5)


@pytest.mark.parametrize("classes", [2, 5])
def test_kernel(classes):
    a, b = parameters(classes)
    op = CoupledProbabilities(classes, tuple(a), tuple(b))
    t = TensorType((50, len(a)), FLOAT32)
    site = site_of(op, [t], [None], t)
    x = np.random.default_rng(2).normal(0, 2, t.shape).astype(np.float32)
    kernel = coupled_probabilities(site, M7)
    assert kernel is not None
    (want,) = op.evaluate(site.sig, [x])
    np.testing.assert_allclose(run_kernel(kernel, [x], site.sig.output, sanitize=True), want, atol=1e-6)
    np.testing.assert_allclose(want.sum(-1), 1, atol=1e-5)
