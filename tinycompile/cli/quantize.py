"""`calib` and `quantize`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycompile import choices
from tinycompile.cli._bits import BytesOrPart, Percent, Prune, automatic_bits, few_values
from tinycompile.cli._help import command
from tinycompile.cli._shared import (
    EVALUATION,
    PATH,
    STATE,
    Bytes,
    Shape,
    StatePair,
    choice_option,
    explained,
    force_option,
    target_option,
)
from tinycompile.errors import UsageError
from tinycompile.written import (
    MARK,
    ONNX,
    OVERWRITE,
    TFLITE,
    is_archive_of_ours,
    is_model_of_ours,
    mark_archive,
    mark_model,
)

if TYPE_CHECKING:
    from tinycompile.quantize import Quantized


class WeightBitsType(click.ParamType[tuple[str, int]]):
    """4, or the name of a layer with its bits: conv1=4. Names may have "=" themselves."""

    name = "BITS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        layer, _, bits = str(value).rpartition("=")
        if not bits.isdigit():
            self.fail(f"{value!r} is neither a number of bits nor LAYER=BITS", param, ctx)
        return layer, int(bits)


class Auto(click.Choice[str]):
    """The word auto; a number of bits has another option."""

    def __init__(self) -> None:
        super().__init__(["auto"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if str(value).isdigit():
            self.fail(f"{value!r} is not 'auto'; --weight-bits {value} gives all layers {value} bits", param, ctx)
        return super().convert(value, param, ctx)


def _bits_of(given: Sequence[tuple[str, int]]) -> int | dict[str, int] | None:
    """For all layers, or by name. Raises UsageError for both together."""
    named = {layer: bits for layer, bits in given if layer}
    if named and len(named) < len(given):
        raise UsageError("--weight-bits says both bits for all layers and bits of single ones", hint="give only one")
    return named or (given[-1][1] if given else None)


def _check_for_bits(group: int | None, method: str, why: str) -> None:
    """Raises UsageError for options of --weight-bits where it isn't given."""
    given = "--group" if group is not None else "--method" if method != "auto" else None
    if given is not None:
        raise UsageError(f"{given} needs --weight-bits", why=f"it is of weights with few bits; {why}")


def _write(result: Quantized, path: Path) -> None:
    from tinycompile.frontend.onnx_file import onnx_module

    if result.tflite is not None:
        path.write_bytes(result.tflite)
    else:
        onnx_module().save(mark_model(result.proto), str(path))


@command(short_help="Quantise a float model, or give an int8 one fewer bits.")
@click.argument("model", type=PATH)
@click.option("--calib", type=PATH, help="Samples (.npz) of real inputs; without them ranges are guessed.")
@click.option("-o", "--output", type=PATH, required=True, help="The file to write (.onnx, .tflite).")
@choice_option("--calib-method", choices.CALIB_METHOD_CHOICES, "How ranges are found.")
@choice_option("--calib-effort", choices.CALIB_EFFORT_CHOICES, "high tries more, in more time.")
@click.option("--eval", "evaluation", type=PATH, help=EVALUATION)
@click.option(
    "--weight-bits",
    type=WeightBitsType(),
    multiple=True,
    help="Of weights: 8, 4, 3 or 2 for all layers but depthwise ones, or LAYER=BITS, which can be given several times.",
)
@click.option("--group", type=int, help="So many input channels have one weight scale; without it all have.")
@click.option(
    "--method",
    "weight_method",
    default="auto",
    show_default=True,
    metavar="auto|nearest|awq|learned",
    help="How weights are given fewer bits.",
)
@click.option("--bits", type=Auto(), help="Choose each layer's bits within the limits that follow.")
@click.option(
    "--prune",
    type=Prune(),
    help="Remove channels: channels=25% at least of them, or as many as the limits that follow ask for: channels.",
)
@click.option("--cluster", type=int, help="Different weights in a layer, at most: 2 to 16, for --compress-weights.")
@click.option("--weight-bytes", type=BytesOrPart(), help="Limit for weights: 200K, or 50% of those with 8 bits.")
@click.option("--flash", type=Bytes(), help="Limit for the firmware, weights included.")
@click.option(
    "--accuracy-loss", type=Percent(), help="Limit for accuracy lost, or for other choices without labels: 1%."
)
@click.option("--slower", type=Percent(), help="Limit for more instructions than with 8 bits: 12%.")
@target_option
@click.option("--shape", "shapes", type=Shape(), multiple=True, help="Of an input: x=1,3,64,64.")
@click.option("--state", "states", type=StatePair(), multiple=True, help=STATE)
@force_option(OVERWRITE)
@explained
def quantize(
    model: Path,
    calib: Path | None,
    output: Path,
    calib_method: str,
    calib_effort: str,
    evaluation: Path | None,
    weight_bits: tuple[tuple[str, int], ...],
    group: int | None,
    weight_method: str,
    bits: str | None,
    prune: float | None,
    cluster: int | None,
    weight_bytes: int | float | None,
    flash: int | None,
    accuracy_loss: float | None,
    slower: float | None,
    target: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    states: tuple[tuple[str, str], ...],
    force: bool,
) -> None:
    """Quantise a float MODEL (.onnx, .tflite) to int8 and write it as ONNX with QuantizeLinear and DequantizeLinear,
    or, if OUTPUT ends in .tflite, with TFLite's int8 operators. With --bits auto, --prune and --cluster MODEL may be of
    int8 as well.
    """
    from tinycompile.quantize import quantize as quantize_model
    from tinycompile.staging import may_write

    if calib is None and evaluation is not None:
        raise UsageError("--eval needs --calib", why="without real inputs it is a guess that is measured")
    if output.suffix not in (ONNX, TFLITE):
        raise UsageError(f"--output {output} is neither .onnx nor .tflite", why="its ending says what is written")
    read = [model, *filter(None, [calib, evaluation])]
    own: dict[str, Any] = {"method": calib_method, "effort": calib_effort}
    own |= {"shapes": dict(shapes), "states": dict(states)}
    if cluster is not None and (weight_bits or bits is not None or prune is not None):
        raise UsageError("--cluster is of 8 bits and all channels", hint="without --weight-bits, --bits and --prune")
    limits = {"accuracy_loss": accuracy_loss, "slower": slower, "flash": flash, "weight_bytes": weight_bytes}
    if bits is not None or prune is not None:
        auto = "--bits auto" if bits is not None else "--prune channels"
        if weight_bits:
            why = "chooses what" if bits is not None else "is with 8 bits or --bits auto, not with what"
            raise UsageError(f"{auto} {why} --weight-bits says", hint="give one of them")
        _check_for_bits(group, weight_method, f"{auto} chooses it")
        with may_write(output, is_model_of_ours, read=read, force=force) as path:
            few = bits is not None
            automatic_bits(model, calib, path, limits, target, evaluation, few_bits=few, prune=prune, **own)
        click.echo(f"written to {output}")
        return
    given = next((name for name, value in limits.items() if value is not None), None)
    if given is not None:
        option = f"--{given.replace('_', '-')}"
        why = "it is a limit for the bits of layers and for channels"
        raise UsageError(f"{option} needs --bits auto or --prune channels", why=why)
    if not weight_bits:
        _check_for_bits(group, weight_method, "weights have 8 bits")
    with may_write(output, is_model_of_ours, read=read, force=force) as path:
        if cluster is not None:
            lines = few_values(model, calib, path, cluster, evaluation, **own)
        else:
            result = quantize_model(
                model,
                calib,
                evaluation=evaluation,
                form="tflite" if output.suffix == TFLITE else "onnx",
                description=MARK,
                weight_bits=_bits_of(weight_bits),
                group=group,
                weight_method=weight_method,
                **own,
            )
            lines = result.lines()
            _write(result, path)
    for line in lines:
        click.echo(line)
    click.echo(f"written to {output}")


@command(short_help="Make a calibration file from images or arrays.")
@click.argument("source", type=PATH)
@click.option("--model", type=PATH, required=True, help="The model, which says the shape of a sample.")
@click.option("-o", "--output", type=PATH, default=Path("calib.npz"), show_default=True, help="File to write.")
@choice_option("--scale", ("0-1", "0-255", "-1-1", "imagenet"), "Of images.")
@choice_option("--layout", ("auto", "nhwc", "nchw"), "Of images.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples.")
@click.option("--shape", "shapes", type=Shape(), multiple=True, help="Of an input: x=1,3,64,64.")
@force_option(OVERWRITE)
@explained
def calib(
    source: Path,
    model: Path,
    output: Path,
    scale: str,
    layout: str,
    limit: int | None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    force: bool,
) -> None:
    """Make a calibration file from SOURCE: a folder of images or .npy files, one .npy or .npz, or a CSV."""
    from tinycompile.quantize.collect import write_samples
    from tinycompile.staging import may_write

    output = output if output.suffix == ".npz" else output.with_name(f"{output.name}.npz")  # as NumPy does
    with may_write(output, is_archive_of_ours, read=[source, model], force=force) as path:
        count = write_samples(source, model, path, dict(shapes), scale=scale, layout=layout, limit=limit)
        mark_archive(path)
    click.echo(f"{count} samples written to {output}")
