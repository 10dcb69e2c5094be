"""Trains a random forest that tells three wines apart by a chemical analysis; writes it as ONNX, and samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession, SessionOptions
from skl2onnx import to_onnx
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
CULTIVARS = np.array(["barolo", "grignolino", "barbera"])
"""Of the classes 0, 1, 2 (M. Forina et al., PARVUS, 1988)."""


def main() -> None:
    wine = load_wine()
    x, y = wine.data.astype(np.float32), CULTIVARS[wine.target]
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.3, random_state=1, stratify=y)
    forest = RandomForestClassifier(15, max_depth=5, random_state=1)
    model = make_pipeline(StandardScaler(), forest).fit(train_x, train_y)
    onnx = to_onnx(model, train_x[:1])
    (HERE / "wine.onnx").write_bytes(onnx.SerializeToString())
    options = SessionOptions()
    options.intra_op_num_threads = 1  # several add the trees' weights in another order, and so do several rows
    session = InferenceSession(HERE / "wine.onnx", options)
    results = [session.run(None, {"X": row[None]}) for row in test_x]
    labels, maps = np.concatenate([label for label, _ in results]), [each for _, (each,) in results]
    classes = list(model.classes_)
    probabilities = np.array([[each[name] for name in classes] for each in maps], np.float32)
    numbers = np.array([classes.index(label) for label in labels], np.int64)
    np.savez_compressed(
        HERE / "wine_samples.npz",
        X=test_x,
        labels=np.array([classes.index(label) for label in test_y], np.int64),
        output_0=numbers,
        output_1=probabilities,
    )
    print(f"{(labels == test_y).sum()} of {len(test_y)} test samples right")


if __name__ == "__main__":
    main()
