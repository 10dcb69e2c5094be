"""Real models: the generated C against the outputs that LiteRT's reference kernels gave, on the host and in QEMU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tinycompile.dtypes import INT8
from tinycompile.elf import sizes
from tinycompile.verify.compare import verify_build

MODELS = ("ad01_int8", "kws_ref_model", "ic_resnet8_int8", "vww_96_int8", "mcunet_vww")
QEMU_SAMPLES = 4


def inputs_of(samples: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(inputs, outputs) of a golden file."""
    with np.load(samples) as file:
        count = sum(name.startswith("input_") for name in file.files)
        outputs = sum(name.startswith("output_") for name in file.files)
        return [file[f"input_{i}"] for i in range(count)], [file[f"output_{i}"] for i in range(outputs)]


def same_values(got: np.ndarray | list[np.ndarray], expected: list[np.ndarray]) -> bool:
    arrays = got if isinstance(got, list) else [got]
    return all(
        a.dtype == b.dtype and a.tobytes() == np.ascontiguousarray(b).tobytes()
        for a, b in zip(arrays, expected, strict=True)
    )


@pytest.mark.parametrize("model", MODELS)
def test_golden_samples_are_bit_exact(model: str, shared: Callable[[str], Path], tmp_path: Path) -> None:
    build = tinycompile.compile(shared(f"models/{model}.tflite"), target="stm32f746", output=tmp_path / "out")
    inputs, expected = inputs_of(shared(f"golden/{model}.npz"))
    assert same_values(build.run(*inputs), expected)
    assert same_values(build.run(*(x[:QEMU_SAMPLES] for x in inputs), on="qemu"), [y[:QEMU_SAMPLES] for y in expected])
    ram = build.report["ram"]
    assert build.report["run"]["stack_bytes_painted"] <= ram["stack_bytes"]
    assert ram["invoke_stack_bytes"] <= 1024
    parts = ("arena", "scratch", "state", "fast_code", "fast_weights", "stack", "other")
    assert (
        ram["total_bytes"]
        == sum(ram[f"{part}_bytes"] for part in parts)
        == sizes(tmp_path / "out" / "firmware.elf", ()).ram
    )
    assert ram["arena_gap_bytes"] == 0
    counted = sum(layer["instructions"] for layer in build.report["layers"])
    assert counted == pytest.approx(build.report["run"]["instructions"], rel=0.01, abs=500)


def test_int8_io_strips_the_float_edges(shared: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="verify needs LiteRT")
    build = tinycompile.compile(shared("models/mcunet_vww.tflite"), output=tmp_path / "out", io="int8")
    assert [t.dtype for t in (*build.inputs, *build.outputs)] == [INT8, INT8]
    assert not {"quantize", "dequantize"} & {layer["op"] for layer in build.report["layers"]}
    floats = inputs_of(shared("golden/mcunet_vww.npz"))[0][0][:2]
    t = build.inputs[0]
    quantized = np.clip(np.round(floats / np.float32(t.scale)) + t.zero_point, -128, 127).astype(np.int8)
    outcome = verify_build(build, [quantized.reshape(-1, *t.shape)])
    assert outcome.difference is None and outcome.tensors > 100
