"""What `--backend` makes of a model's file, before anything is compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.backends.anomaly import Anomaly
from tinycompile.codegen.emit import emit_project
from tinycompile.codegen.project import Project
from tinycompile.errors import SamplesError, UsageError
from tinycompile.frontend import load
from tinycompile.ir import Array
from tinycompile.lowering import lower, project_of, with_sources
from tinycompile.options import Options
from tinycompile.with_backends import with_backends


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something as large as its input, and a file of samples in floats."""
    folder = tmp_path_factory.mktemp("autoencoder")
    b = TfliteBuilder()
    x, y = b.tensor((1, 12), 0.5, 3, name="x"), b.tensor((1, 12), 0.2, -7, name="y")
    b.op("RELU", [x], [y])
    (folder / "ae.tflite").write_bytes(b.build([x], [y]))
    np.savez(folder / "normal.npz", x=np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32) * 20)
    return folder / "ae.tflite"


def project(model: Path, *texts: str, **options: str) -> Project:
    chosen = Options(target="mps2-an386", backend=texts, **options)  # type: ignore[arg-type]
    chosen.check()
    lowered, layout = lower([model], chosen.board(), chosen)
    lowered = with_sources(lowered, chosen)
    return with_backends(project_of(chosen.board(), layout, lowered), lowered, chosen)


def test_a_limit_comes_from_samples_as_the_firmware_sees_them(model: Path) -> None:
    found = project(model, f"anomaly:data={model.parent / 'normal.npz'},percentile=80", "top_k:k=2")
    anomaly = found.programs[0].backends[0]
    assert isinstance(anomaly, Anomaly)
    reals: Array = np.load(model.parent / "normal.npz")["x"]
    samples = np.clip(np.round(reals / 0.5) + 3, -128, 127).astype(np.int8)
    graph = load(model)
    made = np.concatenate([interpreter.run(graph, [sample[None]])[graph.outputs[0]] for sample in samples])
    errors = np.sort(anomaly(samples, made))
    assert anomaly.limit == errors[15] and (errors > anomaly.limit).sum() == 4  # 80 % of 20
    files = emit_project(found)
    assert f"#define AE_ANOMALY_LIMIT {anomaly.limit}ull" in files["ae_backend.h"]
    assert "what 80 % of 20 samples of normal.npz don't exceed" in files["ae_backend.h"]
    assert "ae_top_k" in files["ae_backend.h"] and "ae_backend.h" not in emit_project(project(model))


def test_what_a_build_refuses(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros((4, 5), np.float32))
    with pytest.raises(SamplesError, match=r"has shape \(4, 5\), the model takes \(samples, 12\)"):
        project(model, f"anomaly:data={tmp_path / 'other.npz'}")
    for text in ("anomaly", "anomaly:threshold=1,data=x.npz"):
        with pytest.raises(UsageError, match="either threshold or data"):
            project(model, text)
    with pytest.raises(UsageError, match="--train doesn't go with --backend class"):
        Options(backend=("class",), train="all").check()
