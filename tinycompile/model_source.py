"""The model that is compiled: the file itself, or, for a float model with calibration samples, its QDQ version."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinycompile.errors import TinycompileError, UsageError
from tinycompile.frontend.formats import check_model_path
from tinycompile.frontend.onnx_file import load_proto, static_model
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.tflite_file import read_model
from tinycompile.temporary import TemporaryFolder


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
    with _saved(result.proto, model) as path:
        yield path, result.as_dict()


@contextmanager
def assumed_source(
    model: Path, shapes: Mapping[str, tuple[int, ...]], signature: str | None = None, layout: str = "model"
) -> Generator[Path]:
    """A float model as a QDQ file whose scales no samples gave, for what it would cost; as long as the context.

    Args:
        shapes, signature, layout: as for `quantize`.

    Raises:
        TinycompileError: as for `quantize`.
    """
    from tinycompile.quantize.assumed import assumed_qdq
    from tinycompile.quantize.float_model import float_model

    where = str(model)
    static = static_model(float_model(model, shapes, signature, layout), where, shapes)
    with _saved(assumed_qdq(static, where), model) as path:
        yield path


@contextmanager
def _saved(proto: Any, model: Path) -> Generator[Path]:
    """What was made of a model as a file; errors are told of the model."""
    with TemporaryFolder() as folder:
        path = Path(folder) / f"{model.stem}.onnx"
        onnx_module().save(proto, str(path))
        try:
            yield path
        except TinycompileError as error:
            error.found_in(error.where.replace(str(path), str(model)))
            raise


@contextmanager
def framed_source(model: Path, front_end: str | None) -> Generator[Path]:
    """The file with an audio front end in front of its model, as long as the context; itself without one.

    Args:
        front_end: as `FrontEnd.read` takes it.
    """
    if front_end is None:
        yield model
        return
    from tinycompile.audio.front_end import FrontEnd
    from tinycompile.audio.merged import with_front_end

    settings = FrontEnd.read(front_end)
    if model.suffix.lower() != ".tflite":
        hint = "convert it, such as by `tinycompile quantize model.onnx -o model.tflite`"
        raise UsageError("--frontend is for .tflite models", where=str(model), hint=hint)
    check_model_path(model)
    read_model(model.read_bytes(), str(model), None)
    content = with_front_end(model.read_bytes(), settings, str(model))
    with TemporaryFolder() as folder:
        path = Path(folder) / model.name
        path.write_bytes(content)
        try:
            yield path
        except TinycompileError as error:
            error.found_in(error.where.replace(str(path), str(model)))
            raise


def save_source(source: Path, target: Path) -> None:
    """A copy that needs no other file."""
    if source.suffix.lower() != ".onnx":
        target.write_bytes(source.read_bytes())
        return
    onnx_module().save(load_proto(source), str(target))
