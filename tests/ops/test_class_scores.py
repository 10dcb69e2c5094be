"""The ends of classifiers against onnxruntime: labels equal, probabilities to a few last bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from onnx import helper

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tests.support.random_forest import ML, by_onnxruntime, by_us, ensemble, imported, ml_model, rows
from tinycompile.dtypes import FLOAT32
from tinycompile.errors import UnsupportedError
from tinycompile.ir import Node, Signature, Site, TensorType
from tinycompile.kernels.class_ends import class_scores
from tinycompile.ops.class_scores import ClassScores

TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]
ROWS = 300


def compare(model, x, path, atol: float = 5e-7) -> None:
    """Differences of nearly equal numbers have their operands' last bits."""
    (label, scores), (want_label, want) = by_us(imported(model, path, len(x)), x), by_onnxruntime(model, x)
    np.testing.assert_array_equal(label, want_label)
    np.testing.assert_allclose(scores, want, rtol=2e-6, atol=atol)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("dense", [True, False])
def test_several_classes(transform, dense, tmp_path):
    """Where leaves have weights for some classes only, the others have no score."""
    rng = np.random.default_rng(dense)
    low = 0.0 if transform == "PROBIT" else -1.0
    model = ensemble(rng, "Classifier", 4, trees=3, dense=dense, low=low, post_transform=transform)
    if transform == "PROBIT":  # within (0, 1)
        for attribute in model.graph.node[0].attribute:
            if attribute.name == "class_weights":
                attribute.floats[:] = [value * 0.3 for value in attribute.floats]
    compare(model, rows(rng, ROWS), tmp_path / "m.onnx", 1e-5 if transform == "PROBIT" else 5e-7)


@pytest.mark.parametrize("transform", TRANSFORMS[:4])
@pytest.mark.parametrize("low", [0.0, -1.0], ids=["positive", "signed"])
@pytest.mark.parametrize("weighted", [0, 1])
@pytest.mark.parametrize("base", [None, 0.2])
def test_one_of_two_classes_has_weights(transform, low, weighted, base, tmp_path):
    """As converters write two classes."""
    rng = np.random.default_rng(weighted)
    options = {} if base is None else {"base_values": [base]}
    model = ensemble(rng, "Classifier", 2, trees=2, weighted=[weighted], low=low, post_transform=transform, **options)
    compare(model, rows(rng, ROWS), tmp_path / "m.onnx")


def test_two_classes_with_weights_are_refused(tmp_path):
    model = ensemble(np.random.default_rng(0), "Classifier", 2)
    with pytest.raises(UnsupportedError, match="2 classes of which 2 have weights"):
        imported(model, tmp_path / "m.onnx", 1)


@pytest.mark.parametrize("transform", TRANSFORMS[:4])
@pytest.mark.parametrize(("scores", "classes"), [(1, 2), (2, 2), (3, 3)])
def test_linear_classifiers(transform, scores, classes, tmp_path):
    rng = np.random.default_rng(scores)
    node = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        domain=ML,
        coefficients=rng.normal(0, 1, scores * 5).tolist(),
        intercepts=rng.normal(0, 1, scores).tolist(),
        classlabels_ints=[10 - i for i in range(classes)],
        post_transform=transform,
        multi_class=1,
    )
    model = ml_model(node, 5, [("label", 7), ("scores", 1)], version=1)
    compare(model, rng.normal(0, 2, (ROWS, 5)).astype(np.float32), tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "op",
    [
        *(ClassScores((5, -(2**63), 2**63 - 1), transform, marked=True) for transform in TRANSFORMS),  # pyright: ignore[reportArgumentType]
        ClassScores((0, 1), "NONE", "half", "complement"),
        ClassScores((0, 1), "NONE", "sign", "negative"),
        ClassScores((4, 7), "NONE", "sign", "logistic"),
        ClassScores((0, 1), "LOGISTIC", "sign"),
    ],
    ids=lambda op: f"{op.transform}-{op.decision}-{op.pair}",
)
def test_kernel(op):
    """Probabilities; then, as the last parameter, the labels."""
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 1, (50, len(op.labels) if op.pair == "none" else 1)).astype(np.float32)
    x[::3, 0], x[::4, -1] = -0.0, 0.5
    t = TensorType(x.shape, FLOAT32)
    sig = Signature((t,), tuple(TensorType(*each) for each in op.infer([t])))
    labels, want = op.evaluate(sig, [x])
    kernel = class_scores(Site(Node("end", op, ("x",), ("label", "y")), sig, (None,)), M7)
    assert kernel is not None
    got = run_kernel(kernel, [x, np.zeros(labels.shape, np.int64)], sig.outputs[1])
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert kernel.function is not None
    scores, label, probabilities = kernel.function.parameters
    turned = replace(kernel, function=replace(kernel.function, parameters=(scores, probabilities, label)))
    np.testing.assert_array_equal(run_kernel(turned, [x, np.zeros_like(want)], sig.outputs[0]), labels)
