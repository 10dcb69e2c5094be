"""Pipelines of ai.onnx.ml as converters write them: maps, names of classes, and operators that ONNX has words for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

import onnx
from onnx import helper, numpy_helper

from tests.conftest import ROOT
from tests.support.random_forest import ML, by_onnxruntime, by_us, ensemble, imported, ml_model, new_ensemble
from tinycompile import interpreter
from tinycompile.errors import ModelFileError, UnsupportedError, UsageError
from tinycompile.frontend import class_names_of, load
from tinycompile.frontend.onnx import import_onnx
from tinycompile.frontend.survey import survey
from tinycompile.quantize.float_model import float_model
from tinycompile.verify.machine_learning import in_tensors

WINE = ROOT / "examples" / "wine"
ROWS = 200


def test_the_example():
    """Scaler, trees, strings, a list of maps: all samples at once, bit for bit."""
    samples = np.load(WINE / "wine_samples.npz")
    x = samples["X"]
    graph = load(WINE / "wine.onnx", {"X": x.shape})
    values = interpreter.run(graph, [x])
    for number, name in enumerate(graph.outputs):
        np.testing.assert_array_equal(values[name], samples[f"output_{number}"])
    names = class_names_of(WINE / "wine.onnx", [(1,), (1, 3)])
    assert names == ("barbera", "barolo", "grignolino")
    assert class_names_of(WINE / "wine.onnx", [(1,), (1, 4)]) == ()


def test_what_is_no_model_for_int8_says_so():
    with pytest.raises(UsageError, match="without --strict-int8"):
        load(WINE / "wine.onnx", floats="none")
    with pytest.raises(UsageError, match="without --calib"):
        float_model(WINE / "wine.onnx", {})
    found = survey(WINE / "wine.onnx")
    assert found.float_model and not found.wants_int8


def test_verify_reads_the_same_on_its_own():
    model = in_tensors(onnx.load(WINE / "wine.onnx"))
    samples = np.load(WINE / "wine_samples.npz")
    results = [by_onnxruntime(model, row[None]) for row in samples["X"][:10]]
    labels, probabilities = (np.concatenate(each) for each in zip(*results, strict=True))
    np.testing.assert_array_equal(labels, samples["output_0"][:10])
    np.testing.assert_array_equal(probabilities, samples["output_1"][:10])


def one(kind: str, features: int = 4, version: int = 3, element: int = 1, result: int = 1, **attributes: Any) -> Any:
    node = helper.make_node(kind, ["x"], ["y"], domain=ML, **attributes)
    return ml_model(node, features, [("y", result)], version, element)


NAN = float("nan")
CASES = {
    "scaler": one("Scaler", offset=[0.5, -1.0, 0.0, 2.0], scale=[2.0, 0.1, -1.0, 3.0]),
    "scaler-one": one("Scaler", offset=[0.5], scale=[0.25]),
    "scaler-integers": one("Scaler", element=7, offset=[1.0], scale=[0.5]),
    "l1": one("Normalizer", norm="L1"),
    "l2": one("Normalizer", norm="L2"),
    "binarizer": one("Binarizer", threshold=0.25),
    "imputer-nan": one("Imputer", imputed_value_floats=[1.0, 2.0, 3.0, 4.0], replaced_value_float=NAN),
    "imputer-value": one("Imputer", imputed_value_floats=[7.0], replaced_value_float=1.0),
    "regressor": one("LinearRegressor", coefficients=[0.5, -1.0, 2.0, 0.25] * 2, intercepts=[1.0, 2.0], targets=2),
    "regressor-plain": one("LinearRegressor", coefficients=[0.5, -1.0, 2.0, 0.25]),
    "encoder": one("LabelEncoder", 4, 2, 7, 7, keys_int64s=[-2, 0, 3], values_int64s=[10, 20, 30], default_int64=-7),
    "encoder-floats": one("LabelEncoder", 4, 2, 7, 1, keys_int64s=[1, 2], values_floats=[0.5, 1.5], default_float=9.0),
}


@pytest.mark.parametrize("name", CASES)
def test_in_onnx_words(name, tmp_path):
    rng = np.random.default_rng(len(name))
    model = CASES[name]
    integers = model.graph.input[0].type.tensor_type.elem_type == 7
    x = rng.integers(-4, 5, (ROWS, 4)) if integers else rng.choice([0.0, 1.0, -1.0, 0.25, 0.3, 2.5], (ROWS, 4))
    x = x.astype(np.int64 if integers else np.float32)
    if name == "imputer-nan":
        x[rng.random(x.shape) < 0.3] = NAN
    (got,), (want,) = by_us(imported(model, tmp_path / "m.onnx", ROWS), x), by_onnxruntime(model, x)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got.reshape(want.shape), want, rtol=1e-6, atol=1e-6)


def test_columns_side_by_side(tmp_path):
    """An input for each column, as skl2onnx has a table's; two of them are integers."""
    names = ["a", "b", "c"]
    kinds = [1, 7, 1]
    nodes = [
        helper.make_node("FeatureVectorizer", names, ["x"], domain=ML, inputdimensions=[1, 1, 1]),
        helper.make_node("ArrayFeatureExtractor", ["x", "wanted"], ["y"], domain=ML),
    ]
    inputs = [helper.make_tensor_value_info(n, kind, [None, 1]) for n, kind in zip(names, kinds, strict=True)]
    wanted = numpy_helper.from_array(np.array([[2, 0]], np.int64), "wanted")
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", 1, None)], [wanted])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 1)]
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())
    graph = import_onnx(path, "m")
    values = [np.array([[1.5]], np.float32), np.array([[2]], np.int64), np.array([[-3.0]], np.float32)]
    np.testing.assert_array_equal(interpreter.run(graph, values)[graph.outputs[0]], [[-3.0, 1.5]])


def machine(kind: str, kernel: str, sizes: list[int], **attributes: Any) -> onnx.ModelProto:
    """A support vector machine; `sizes` are vectors by class, or all of them."""
    rng = np.random.default_rng(len(kernel) + len(sizes))
    count, classes = sum(sizes), len(sizes)
    pairs = max(1, classes * (classes - 1) // 2)
    attributes |= {
        "support_vectors": rng.normal(100, 1, count * 4).tolist(),
        "coefficients": rng.normal(0, 1, max(1, classes - 1) * count).tolist(),
        "rho": rng.normal(0, 0.3, pairs).tolist(),
        "kernel_type": kernel,
        "kernel_params": {"RBF": [0.3, 0, 0], "POLY": [1e-4, 0.5, 2]}.get(kernel, [1e-5, 0.1, 0]),
    }
    results = [("y", 1)] if kind == "SVMRegressor" else [("label", 7), ("y", 1)]
    if kind == "SVMClassifier":
        attributes |= {"vectors_per_class": sizes, "classlabels_ints": [7 - i for i in range(classes)]}
    else:
        attributes["n_supports"] = count
    node = helper.make_node(kind, ["x"], [name for name, _ in results], domain=ML, **attributes)
    return ml_model(node, 4, results, 1)


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize(
    ("kind", "sizes", "options"),
    [
        ("SVMRegressor", [9], {}),
        ("SVMRegressor", [9], {"one_class": 1}),
        ("SVMClassifier", [4, 5], {}),
        ("SVMClassifier", [4, 3, 5, 2], {}),
    ],
    ids=["regressor", "one-class", "two", "four"],
)
def test_support_vectors(kernel, kind, sizes, options, tmp_path):
    """Of features far from 0, where the distance of two vectors is a small difference of large numbers."""
    model = machine(kind, kernel, sizes, **options)
    x = np.random.default_rng(1).normal(100, 1, (ROWS, 4)).astype(np.float32)
    got, want = by_us(imported(model, tmp_path / "m.onnx", ROWS), x), by_onnxruntime(model, x)
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-4 if kernel == "LINEAR" else 2e-5)


def test_trees_of_what_nothing_computes(tmp_path):
    """onnx 1.23.2's shape inference would end the process."""
    model = new_ensemble(np.random.default_rng(0), 1)
    model.graph.node[0].input[0] = "nothing"
    with pytest.raises(ModelFileError):
        imported(model, tmp_path / "m.onnx", 1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (one("Normalizer", norm="MAX"), "the norm MAX"),
        (one("Imputer", imputed_value_int64s=[1], element=7), "integers"),
        (one("LabelEncoder", 4, 2, 8, keys_strings=["a"], values_int64s=[1]), "it is a string"),
        (
            one("LabelEncoder", version=2, element=7, result=7, keys_int64s=[1, 9999], values_int64s=[1, 2]),
            "2 keys from",
        ),
        (one("LinearRegressor", coefficients=[1.0] * 4, post_transform="LOGISTIC"), "a post_transform"),
        (machine("SVMRegressor", "COSINE", [2]), "kernel_type = 'COSINE'"),
        (one("OneHotEncoder", cats_int64s=[1, 2]), "this operator is not supported"),
        (one("TreeEnsembleRegressor", nodes_modes=["LEAF"], nodes_treeids=[0, 1]), "another length"),
        (new_ensemble(np.random.default_rng(0), 3, post_transform=1), "SOFTMAX in ONNX and LOGISTIC in onnxruntime"),
        (new_ensemble(np.random.default_rng(0), 3, post_transform=2), "LOGISTIC in ONNX and SOFTMAX in onnxruntime"),
        (
            ensemble(np.random.default_rng(0), "Regressor", 3, weighted=[0, 2], base_values=[0.0, 1.0, 0.0]),
            "a base value and no weight",
        ),
    ],
    ids=str,
)
def test_what_is_refused_says_why(model, message, tmp_path):
    with pytest.raises(UnsupportedError, match=message):
        imported(model, tmp_path / "m.onnx", 1)
