"""The model that is compiled: the file itself, or, for a float model with calibration samples, its QDQ version."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tinycompile.errors import TinycompileError, UsageError
from tinycompile.frontend.formats import check_model_path
from tinycompile.frontend.onnx_file import load_proto
from tinycompile.frontend.onnx_module import onnx_module


@dataclass(frozen=True)
class Calibration:
    """How to quantise: `.npz` files of inputs and of samples to measure with, one of `quantize.METHOD_CHOICES` and of
    `quantize.EFFORT_CHOICES`.

    `pinned` is an older QDQ model, whose scales of activations are kept; `room` leaves room in
    ranges for other weights.
    """

    samples: Path | None = None
    method: str = "auto"
    evaluation: Path | None = None
    pinned: Path | None = None
    room: bool = False
    effort: str = "default"


@contextmanager
def compiled_source(
    model: Path,
    calibration: Calibration,
    shapes: Mapping[str, tuple[int, ...]],
    signature: str | None = None,
    layout: str = "model",
    states: Mapping[str, str] | None = None,
) -> Generator[tuple[Path, dict[str, Any] | None]]:
    """(file to compile, what quantisation measured if there was any); a QDQ file lives as long as the context.

    Args:
        shapes, signature, layout, states: as for `quantize`.
    """
    if calibration.samples is None:
        if calibration.evaluation is not None:
            raise UsageError("--eval needs --calib", why="it compares a float model with what becomes of it")
        if calibration.method != "auto":
            raise UsageError("--calib-method needs --calib", why="it says how samples give the ranges of tensors")
        if calibration.effort != "default":
            raise UsageError("--calib-effort needs --calib", why="it says how much is tried with samples")
        yield model, None
        return
    check_model_path(model)
    from tinycompile.quantize import quantize
    from tinycompile.quantize.pinned import pinned_parameters

    result = quantize(
        model,
        calibration.samples,
        method=calibration.method,
        effort=calibration.effort,
        shapes=shapes,
        evaluation=calibration.evaluation,
        pinned=None if calibration.pinned is None else pinned_parameters(calibration.pinned),
        room=calibration.room,
        signature=signature,
        layout=layout,
        states=states,
    )
    with TemporaryDirectory(prefix="tinycompile-") as folder:
        path = Path(folder) / f"{model.stem}.onnx"
        onnx_module().save(result.proto, str(path))
        try:
            yield path, result.as_dict()
        except TinycompileError as error:
            error.found_in(error.where.replace(str(path), str(model)))
            raise


def save_source(source: Path, target: Path) -> None:
    """A copy that needs no other file."""
    if source.suffix.lower() != ".onnx":
        target.write_bytes(source.read_bytes())
        return
    onnx_module().save(load_proto(source), str(target))
