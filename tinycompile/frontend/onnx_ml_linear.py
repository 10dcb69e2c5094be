"""Linear classifiers of ai.onnx.ml, and probabilities of support vector machines."""

from __future__ import annotations

import numpy as np

from tinycompile.frontend.onnx_discrete import constant
from tinycompile.frontend.onnx_ml_registry import ml_importer
from tinycompile.frontend.onnx_ml_trees import class_labels, features, set_classes, transform_of
from tinycompile.frontend.onnx_ml_vectors import COUPLED
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Placed, Real, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ops.class_scores import ClassScores
from tinycompile.ops.coupled_probabilities import CoupledProbabilities
from tinycompile.ops.fully_connected import FullyConnected


@ml_importer("LinearClassifier")
def linear_classifier(scope: Scope) -> None:
    """A matrix product; of two classes with one row of coefficients the score is the second one's."""
    labels, transform, x = class_labels(scope, "classlabels_ints"), transform_of(scope), features(scope)
    intercepts = np.array(scope.attribute("intercepts", None) or [], np.float32)
    weights = np.array(scope.attribute("coefficients", None) or [], np.float32)
    scope.ignore("multi_class")  # no runtime reads it
    if intercepts.size not in (len(labels), len(labels) - 1) or weights.size != intercepts.size * x.shape[1]:
        sizes = f"{weights.size} coefficients and {intercepts.size} intercepts"
        raise Rejected(f"it has {sizes} for {len(labels)} classes of {x.shape[1]} features")
    rows = weights.reshape(intercepts.size, x.shape[1])
    operands = [x.name, constant(scope, rows), constant(scope, intercepts)]
    scores = scope.state.emit(FullyConnected(), operands, f"{scope.name}_linear", None)
    if intercepts.size == len(labels):
        set_classes(scope, scores, ClassScores(labels, transform))
        return
    if len(labels) != 2 or transform == "PROBIT":
        raise Rejected(f"a single row of coefficients for {len(labels)} classes with post_transform = {transform!r}")
    pair = "logistic" if transform == "LOGISTIC" else "complement"
    set_classes(scope, scores, ClassScores(labels, "NONE", "sign", pair))


@ml_importer(COUPLED)
def coupled_probabilities(scope: Scope) -> None:
    """Made by onnx_ml_vectors.py of an SVMClassifier."""
    x, classes = features(scope), int(scope.attribute("classes", 0))
    a, b = (tuple(float(value) for value in scope.attribute(name, [])) for name in ("prob_a", "prob_b"))
    name = scope.state.emit(CoupledProbabilities(classes, a, b), [x.name], scope.name, None)
    scope.set(Real(Placed(name, (x.shape[0], classes), identity(2))))
