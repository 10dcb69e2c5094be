"""`build --flash ... --accuracy-loss ...`: layers get few bits where the firmware of 8 bits doesn't fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tinycompile.build import Build
from tinycompile.errors import UsageError
from tinycompile.frontend import is_onnx, load
from tinycompile.mixed_precision.automatic import Automatic, Budget, automatic
from tinycompile.mixed_precision.network import Network
from tinycompile.model_source import Calibration
from tinycompile.options import Options
from tinycompile.pipeline import FirmwareTooLargeError, compile_together
from tinycompile.progress import step

ATTEMPTS = 3
"""How often bits are chosen: the code's size is an estimate before the firmware is there."""


@dataclass(frozen=True, eq=False)
class BuiltWithin:
    """The build; `bits` says how its layers were chosen, None where 8 bits fit."""

    build: Build
    bits: Automatic | None


def build_within(
    model: Path,
    options: Options,
    accuracy_loss: float,
    *,
    output: Path,
    force: bool = False,
    prune: bool = False,
    build: Callable[..., list[Build]] = compile_together,
) -> BuiltWithin:
    """Build a model with 8 bits, and if that exceeds `options.flash` with as few as it takes.

    Args:
        accuracy_loss: with more than that, as a part of 1, there is a warning.
        prune: whether channels may be removed as well.
        build: as `compile_together`.

    Raises:
        TinycompileError: as `compile`, and as `automatic`.
    """
    samples = options.calibration.samples
    if samples is None or options.flash is None:
        why = "layers get few bits where a firmware exceeds --flash, by what samples say they cost"
        raise UsageError("--accuracy-loss needs --flash and --calib", why=why)
    quantized = not is_onnx(model) and bool(Network(load(model)).layers)
    plain = replace(options, calibration=Calibration())
    try:
        (found,) = build([model], plain if quantized else options, output=output, force=force)
        return BuiltWithin(found, None)
    except FirmwareTooLargeError as error:
        step(f"{error.excess:,} bytes too many: choosing bits for the layers")
        saving = error.excess  # the planner took the smallest kernels already
    for attempt in range(ATTEMPTS):
        bits = automatic(
            model,
            samples,
            Budget(saving=saving, accuracy_loss=accuracy_loss, prune=prune),
            target=options.target,
            evaluation=options.calibration.evaluation,
            form="tflite" if quantized else "onnx",
            **_of_quantize(options),
        )
        with TemporaryDirectory(prefix="tinycompile-") as folder:
            source = Path(folder) / f"{model.stem}.{'tflite' if quantized else 'onnx'}"
            source.write_bytes(bits.content)
            try:
                (found,) = build([source], plain, output=output, force=force)
                found.add_to_report("low_bits", bits.as_dict())
                return BuiltWithin(found, bits)
            except FirmwareTooLargeError as error:
                if attempt == ATTEMPTS - 1:
                    raise
                saving += error.excess
    raise AssertionError("the last attempt returns or raises")


def _of_quantize(options: Options) -> dict[str, Any]:
    calibration = options.calibration
    return {"method": calibration.method, "effort": calibration.effort, "shapes": dict(options.shapes)}
