"""`build --flash ... --accuracy-loss ...`: layers get few bits where the firmware of 8 bits doesn't fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinycompile.build import Build
from tinycompile.errors import DoesNotFitError, UsageError
from tinycompile.frontend import is_onnx, load
from tinycompile.frontend.onnx import is_quantized
from tinycompile.frontend.onnx_file import read_proto
from tinycompile.mixed_precision.automatic import Automatic, Budget, Chooser, Freedom
from tinycompile.mixed_precision.network import Network
from tinycompile.model_source import Calibration
from tinycompile.options import Options
from tinycompile.pipeline import FirmwareTooLargeError, compile_together
from tinycompile.progress import step
from tinycompile.quantize import Form
from tinycompile.temporary import TemporaryFolder

ATTEMPTS = 3
"""How often bits are chosen: the code's size is an estimate before the firmware is there. Then the fewest are tried."""


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
    of_onnx = is_onnx(model)
    quantized = is_quantized(read_proto(model)) if of_onnx else bool(Network(load(model)).layers)
    plain = replace(options, calibration=Calibration())
    try:
        (found,) = build([model], plain if quantized else options, output=output, force=force)
        return BuiltWithin(found, None)
    except FirmwareTooLargeError as error:
        step(f"{error.excess:,} bytes too many: choosing bits for the layers")
        sizes = [error.size]
    form: Form = "tflite" if quantized and not of_onnx else "onnx"
    evaluation = options.calibration.evaluation
    freedom, given = Freedom(prune=prune), _of_quantize(options)
    chooser = Chooser.of(model, samples, options.target, evaluation, form, freedom, with_code=True, **given)

    def built(content: bytes) -> Build:
        with TemporaryFolder() as folder:
            source = Path(folder) / f"{model.stem}.{form}"
            source.write_bytes(content)
            try:
                return build([source], plain, output=output, force=force)[0]
            except FirmwareTooLargeError as error:
                sizes.append(error.size)
                raise

    saving = sizes[0] - options.flash  # over 8 bits in the smallest kernels, which the planner took already
    for _ in range(ATTEMPTS):
        if saving > chooser.most_saved:
            break
        bits = chooser.within(Budget(saving=saving, accuracy_loss=accuracy_loss))
        try:
            return _told(built(bits.content), bits)
        except FirmwareTooLargeError as error:
            saving += error.excess
    why = "fewer bits save nothing here: what unpacks weights takes more than they do"
    if chooser.search.smallest.weights:
        why = "so it was measured with the fewest bits and the smallest kernels"
        try:
            bits = _fewest(chooser, built, accuracy_loss)
            return _told(built(bits.content), bits)
        except FirmwareTooLargeError:
            step("nor does that fit")
    raise DoesNotFitError(
        f"the firmware takes {min(sizes):,} bytes of flash at least, --flash allows {options.flash:,}",
        where=str(model),
        why=why,
        hint=f"--flash {min(sizes)}, or a smaller model",
    )


def _told(build: Build, bits: Automatic) -> BuiltWithin:
    """With the front in the build's report."""
    build.add_to_report("low_bits", bits.as_dict())
    return BuiltWithin(build, bits)


def _fewest(chooser: Chooser, built: Callable[[bytes], object], accuracy_loss: float) -> Automatic:
    """The fewest bits that save anything; fitted once a build has said that they fit. Raises FirmwareTooLargeError."""
    search = chooser.search
    step("building with the fewest bits")
    fewest = search.smallest
    built(search.model.fitted(fewest.bits, search.removed(fewest), "nearest").written().content)  # as large as fitted
    return chooser.automatic(search.fit(search.smallest), accuracy_loss)


def _of_quantize(options: Options) -> dict[str, Any]:
    calibration = options.calibration
    return {"method": calibration.method, "effort": calibration.effort, "shapes": dict(options.shapes)}
