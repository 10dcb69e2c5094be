"""onnxruntime's optimiser: the files of its quantiser, as a session saves them at each level."""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime
from common import Net, run

LEVELS = {
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
SOURCES = ("qdq_channel", "qdq_uint8", "qoperator", "qoperator_uint8")


def optimise(net: Net, setting: tuple[str, str], path: Path) -> None:
    source, level = setting
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.optimized_model_filepath = str(path)
    model = path.parent.parent / "onnxruntime" / f"{net.name}.{source}.onnx"
    onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    settings = {f"{source}_{level}": (source, level) for source in SOURCES for level in LEVELS}
    sys.exit(run("optimiser", settings, optimise))
