"""`quantize --cluster`: an int8 file whose layers have few different weights, which builds store as indices.

A float model is quantised to 8 bits first. Layers are fitted in order, each behind those that have few values already,
with a bias that makes up for what is left on average; depthwise convolutions, whose few weights count much, stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinycompile.errors import QuantizationNeededError, UsageError
from tinycompile.frontend import is_onnx, load
from tinycompile.frontend.onnx import is_quantized
from tinycompile.frontend.onnx_file import onnx_module, read_proto
from tinycompile.mixed_precision.int8_model import Int8Model
from tinycompile.mixed_precision.measure import Measured, Samples
from tinycompile.mixed_precision.network import Network
from tinycompile.mixed_precision.qdq_file import QdqFile
from tinycompile.mixed_precision.tflite_file import TfliteFile
from tinycompile.progress import step
from tinycompile.quantize import Form, Quantized, quantize
from tinycompile.temporary import TemporaryFolder

FEWEST, MOST = 2, 16


@dataclass(frozen=True, eq=False)
class Clustered:
    """What became of a model.

    Attributes:
        content: of the file to write.
        layers: how many have so many values at most. values: that number.
        measured: against the int8 network. measured_on: which samples these are.
        quantized: how a float model became one of int8.
    """

    content: bytes
    layers: int
    values: int
    measured: Measured
    measured_on: str
    quantized: Quantized | None

    def lines(self) -> list[str]:
        """For the terminal."""
        first = [] if self.quantized is None else self.quantized.lines()
        text = f"{self.layers} layers with {self.values} different weights at most: {self.measured.describe()}"
        return [*first, f"{text} beside the int8 network, on {self.measured_on}"]


def cluster(
    model: Path,
    calib: Path,
    values: int,
    *,
    evaluation: Path | None = None,
    form: Form = "onnx",
    description: str = "",
    **options: Any,
) -> Clustered:
    """Give each layer few different weights.

    Args:
        calib, evaluation: as for `quantize`.
        values: of a layer's weights, at most, the same for all its channels, which have scales of their own.
        form: of the file; that of the model where this is of int8 already.
        options: for `quantize`, of a float model.

    Raises:
        UsageError, SamplesError, ModelFileError, UnsupportedError.
    """
    if not FEWEST <= values <= MOST:
        why = "a build has indices of 2 and 4 bits"
        raise UsageError(f"--cluster {values} is out of range", why=why, hint=f"{FEWEST} to {MOST} values")
    content, quantized = _in_8_bits(model, calib, evaluation, form, description, options)
    with TemporaryFolder() as folder:
        path = Path(folder) / f"model.{form}"
        path.write_bytes(content)
        try:
            network = Network(load(path))
        except QuantizationNeededError as error:  # nothing of it could be of 8 bits
            raise _nothing_to_do(model) from error
        if form == "onnx":
            file: QdqFile | TfliteFile = QdqFile(onnx_module().load(str(path)), network.layers, description)
        else:
            file = TfliteFile(content, network.graph, network.layers, description)
    names = [name for name, layer in network.layers.items() if name in file.places and not layer.is_depthwise]
    if not names:
        raise _nothing_to_do(model)
    samples = Samples.of(network, calib, evaluation)
    fitted = Int8Model(file, network, samples).clustered(dict.fromkeys(names, values))
    found = fitted.written().content
    return Clustered(found, len(names), values, fitted.measured, samples.measured_on, quantized)


def _nothing_to_do(model: Path) -> UsageError:
    why = "those are convolutions but depthwise ones, and matrices, of int8 with constant weights"
    return UsageError("no layer's weights can have few different values", where=str(model), why=why)


def _in_8_bits(
    model: Path, calib: Path, evaluation: Path | None, form: Form, description: str, options: dict[str, Any]
) -> tuple[bytes, Quantized | None]:
    """(the model's file with 8 bits, how it came to be one if it was of floats)."""
    of_onnx = is_onnx(model)
    if is_quantized(read_proto(model)) if of_onnx else bool(Network(load(model)).layers):
        own = "onnx" if of_onnx else "tflite"
        if form != own:
            kind = "ONNX" if of_onnx else "TFLite"
            raise UsageError(
                f"{model} is an int8 {kind} file: another one of its kind is made of it", hint=f"-o out.{own}"
            )
        return model.read_bytes(), None
    step("quantising to 8 bits first")
    found = quantize(model, calib, evaluation=evaluation, form=form, description=description, **options)
    return (found.tflite or b"") if form == "tflite" else bytes(found.proto.SerializeToString()), found
