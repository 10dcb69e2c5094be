"""A network at several widths whose weights are the widest one's: trained together, quantised with the same integers.

The widest is taught by labels, the narrower ones by what it says (slimmable networks, ICLR 2019; universally slimmable
networks, ICCV 2019). Each has statistics of its own in its batch normalisations, which end up in the scales of its
weights and in its biases, so that the integers are shared.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinycompile.build import Build
from tinycompile.errors import DoesNotFitError, QuantizationWarning, UsageError
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.pipeline import compile as build_firmware
from tinycompile.quantize.widths import quantized_widths
from tinycompile.search.data import CALIBRATION, Data, save_calibration, save_labelled
from tinycompile.search.prices import Limits
from tinycompile.search.space import Config, Space, Value
from tinycompile.search.supernet import FEW, train_supernet, with_inherited
from tinycompile.search.trainer import Recipe, accuracy_of
from tinycompile.widths import check_shares, label_of

NAME = "wide"
"""What the network is called in C, and its files."""
MULTIPLE = 4
"""Of which numbers of channels are multiples: then pieces of weights are whole words."""


@dataclass(frozen=True)
class WidthFigures:
    """Of one width.

    Attributes:
        share: of the widest one's channels. config: its choice.
        accuracy, int8_accuracy: on the judged samples.
        arena_bytes: of RAM. flash_bytes: of its own. shared_bytes: of its constants that are the widest one's.
        instructions: estimated.
    """

    share: float
    config: Mapping[str, Value]
    accuracy: float
    int8_accuracy: float
    arena_bytes: int
    flash_bytes: int
    shared_bytes: int
    instructions: int

    def line(self) -> str:
        """For people."""
        line = (
            f"  {self.share:6.4g}: int8 {self.int8_accuracy:.2%}, floats {self.accuracy:.2%}; about "
            f"{self.instructions:,} instructions, arena {self.arena_bytes:,}, flash of its own {self.flash_bytes:,}"
        )
        return line if self.share == 1 else f"{line} beside {self.shared_bytes:,} that are the widest one's"


@dataclass(frozen=True)
class Slimmed:
    """A network at several widths, built as one firmware.

    Attributes:
        widths: the widest first. ram_bytes, flash_bytes: of the firmware.
        tested: whether accuracies are on test samples; else on some that the network was trained with.
    """

    widths: tuple[WidthFigures, ...]
    ram_bytes: int
    flash_bytes: int
    tested: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        samples = "test samples" if self.tested else "samples that it was trained with, as there is no x_test"
        return [
            f"at several widths: {self.ram_bytes:,} bytes of RAM, {self.flash_bytes:,} of flash; on {samples}",
            *(each.line() for each in self.widths),
        ]


def check_widths_of(shares: Sequence[float], space: Space) -> None:
    """Raises UsageError: shares that aren't between 0 and 1, or a space that says no numbers of channels."""
    check_shares(shares, space.where, "--widths", "0.75,0.5")
    if not space.widths:
        raise UsageError(
            "the space doesn't say which parameters are numbers of channels",
            where=space.where,
            hint='WIDTHS = ("stem", "width")',
        )


def narrower(space: Space, config: Config, share: float) -> dict[str, Value]:
    """The choice with a share of the channels, in multiples of `MULTIPLE`."""
    found = dict(config)
    for name in space.widths:
        value = config[name]
        if isinstance(value, int):
            found[name] = min(value, max(MULTIPLE, MULTIPLE * round(share * value / MULTIPLE)))
    return found


def slimmed(
    space: Space,
    config: Config,
    shares: Sequence[float],
    data: Data,
    recipe: Recipe,
    target: str,
    limits: Limits,
    folder: Path,
    seed: int = 0,
) -> Slimmed:
    """Train a choice at all widths together, quantise them with the same integers and build one firmware.

    Args:
        config: of the widest. shares: of the narrower ones.
        folder: for `float_*.onnx`, `wide.onnx` and `wide_*.onnx`, which are int8, and `firmware/`.

    Raises:
        UsageError: networks aren't described by `Network`, have no weights in common, or exceed the limits together.
    """
    shares = (1.0, *sorted(shares, reverse=True))
    configs = [narrower(space, config, share) for share in shares]
    values = {name: tuple(dict.fromkeys(each[name] for each in configs)) for name in space.parameters}
    elastic = tuple(name for name in space.widths if len(values[name]) > 1)
    together = Space(space.name, values, space.build, space.where, elastic, space.widths)
    shared = train_supernet(together, configs, data.known, data.classes, recipe, seed, FEW)
    judged = data.test or data.folds[0][1]
    folder.mkdir(parents=True, exist_ok=True)
    protos = [with_inherited(space.network(each, data.shape, data.classes), shared, data.known) for each in configs]
    floats = [folder / f"float_{label_of(share)}.onnx" for share in shares]
    files = [folder / f"{NAME}.onnx", *(folder / f"{NAME}_{label_of(share)}.onnx" for share in shares[1:])]
    for proto, path in zip(protos, floats, strict=True):
        onnx_module().save(proto, str(path))
    calib = save_calibration(folder / "calib.npz", data.known, CALIBRATION)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        quantized = quantized_widths(floats, calib, save_labelled(folder / "judged.npz", judged))
    for each, path in zip(quantized, files, strict=True):
        onnx_module().save(each.proto, str(path))
    others = dict(zip(shares[1:], files[1:], strict=True))
    build = _built(files[0], others, target, limits, folder / "firmware")
    found = list[WidthFigures]()
    for share, each, proto, result in zip(shares, configs, protos, quantized, strict=True):
        report = Build(build.folder, model=f"{NAME}_w{label_of(share)}").report
        width, int8 = report["width"], 0.0 if result.accuracy is None else result.accuracy.int8_value
        sizes = report["ram"]["arena_bytes"], width["flash_bytes"], width["shared_bytes"]
        accuracy = accuracy_of(proto, judged)
        found.append(WidthFigures(share, each, accuracy, int8, *sizes, width["instructions_estimate"]))
    return Slimmed(tuple(found), *_totals(build), tested=data.test is not None)


def _totals(build: Build) -> tuple[int, int]:
    """RAM and flash."""
    return build.report["ram"]["total_bytes"], build.report["flash"]["total_bytes"]


def _built(wide: Path, others: Mapping[float, Path], target: str, limits: Limits, folder: Path) -> Build:
    """The firmware. Raises UsageError: it exceeds the limits."""
    options = limits.options(target)
    how: dict[str, Any] = {"widths": others, "io": "int8", "ram": options.ram, "flash": options.flash}
    try:
        build = build_firmware(wide, target, output=folder, force=True, **how)
    except DoesNotFitError as error:
        raise _too_large(f"does not fit: {error.what}") from error
    excess = limits.exceeded_by(*_totals(build), None)
    if excess:
        raise _too_large(excess)
    return build


def _too_large(excess: str) -> UsageError:
    return UsageError(
        f"the firmware at several widths {excess}",
        why="each width has code of its own",
        hint="fewer --widths, or larger limits; the best network alone is built, in firmware/",
    )
