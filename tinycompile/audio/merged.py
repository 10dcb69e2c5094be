"""A `.tflite` file with an audio front end in front of its model, which any runtime with TFLM's operators runs.

An inference takes the samples of a hop: a frame becomes a row of features, the rows before, a variable,
come before it, and all of them are the model's input.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, cast

import flatbuffers  # pyright: ignore[reportMissingTypeStubs] - it has none
import numpy as np
from flatbuffers import flexbuffers  # pyright: ignore[reportMissingTypeStubs]

from tinycompile.audio import tables
from tinycompile.audio.front_end import LOG_BITS, FrontEnd, Noise
from tinycompile.dtypes import Array
from tinycompile.errors import FloatIslandWarning, ToolMissingError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph

_CUSTOM = 32
"""The number of custom operators in the schema."""


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated as schema  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise ToolMissingError(
            "LiteRT's schema is not installed",
            why="a front end is written into the model's file with it",
            hint="pip install 'tinycompile[verify]'",
        ) from error
    module: Any = schema
    return module


class _File:
    """A model that operators are put in front of.

    Attributes:
        model: as the schema's Python objects.
    """

    def __init__(self, model: Any) -> None:
        self.schema, self.model, self.graph = _schema(), model, model.subgraphs[0]
        self.operators = list[Any]()
        self._codes = dict[str, int]()

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        *,
        data: Array | None = None,
        scale: tuple[float, int] | None = None,
        graph: Any = None,
    ) -> int:
        """A tensor, a constant where it has data; returns its number. `scale`: with the zero point."""
        tensor, place = self.schema.TensorT(), self.graph if graph is None else graph
        tensor.name, tensor.shape = f"frontend/{name}", np.array(shape, np.int32)
        tensor.type, tensor.buffer = getattr(self.schema.TensorType, dtype.upper()), 0
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        if scale is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = np.array([scale[0]], np.float32)
            tensor.quantization.zeroPoint = np.array([scale[1]], np.int64)
        place.tensors.append(tensor)
        return len(place.tensors) - 1

    def constant(self, name: str, values: Array) -> int:
        return self.tensor(name, values.shape, values.dtype.name, data=values)

    def custom(self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: float | bool) -> None:
        """A custom operator."""
        operator = self._operator(self._code(_CUSTOM, name), inputs, outputs)
        if options:
            dumped: Any = cast(Any, flexbuffers).Dumps(options)
            operator.customOptions = np.frombuffer(bytes(dumped), np.uint8)
        self.operators.append(operator)

    def op(self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: str = "", **fields: Any) -> None:
        """An operator of the schema with a table of options."""
        self.operators.append(self.operation(name, inputs, outputs, options, **fields))

    def operation(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: str = "", **fields: Any
    ) -> Any:
        """The same without a place."""
        operator = self._operator(self._code(getattr(self.schema.BuiltinOperator, name), ""), inputs, outputs)
        if options:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self.schema, f"{options}T")()
            for field, value in fields.items():
                setattr(operator.builtinOptions, field, value)
        return operator

    def _operator(self, code: int, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        operator = self.schema.OperatorT()
        operator.opcodeIndex = code
        operator.inputs, operator.outputs = (np.array(each, np.int32) for each in (inputs, outputs))
        return operator

    def _code(self, number: int, name: str) -> int:
        key = name or str(number)
        if key not in self._codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
            code.customCode = name or None
            self.model.operatorCodes.append(code)
            self._codes[key] = len(self.model.operatorCodes) - 1
        return self._codes[key]

    def content(self) -> bytes:
        self.graph.operators = [*self.operators, *(self.graph.operators or [])]
        builder: Any = cast(Any, flatbuffers).Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _read(content: bytes) -> Any:
    """With constants that stand behind the flatbuffer inside it."""
    schema = _schema()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    for buffer in model.buffers:
        if buffer.offset > 1:
            data = np.frombuffer(content[buffer.offset : buffer.offset + buffer.size], np.uint8)
            buffer.data, buffer.offset, buffer.size = data, 0, 0
    return model


def _empty() -> Any:
    schema = _schema()
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], list[Any](), [graph]
    graph.tensors, graph.operators, graph.outputs = list[Any](), list[Any](), np.zeros(0, np.int32)
    return model


def _energies(file: _File, settings: FrontEnd, pcm: int, bank: tables.FilterBank) -> tuple[int, int]:
    """(energies of a frame's spectrum, by how many bits its samples were scaled)."""
    window, points = settings.window, settings.points
    frames, windowed = (file.tensor(name, (1, window), "int16") for name in ("frame", "windowed"))
    frame, scaled = (file.tensor(name, (window,), "int16") for name in ("samples", "scaled"))
    valid, bits = file.tensor("valid", (), "bool"), file.tensor("bits", (), "int32")
    spectrum, energies = (
        file.tensor("spectrum", (points + 2,), "int16"),
        file.tensor("energies", (points // 2 + 1,), "uint32"),
    )
    options: dict[str, int | bool] = {"frame_size": window, "frame_step": settings.hop, "prefill": True}
    file.custom("SignalFramer", [pcm], [frames, valid], **options)
    weights = file.constant("window", tables.hann_window(window, settings.window_bits))
    file.custom("SignalWindow", [frames, weights], [windowed], shift=settings.window_bits)
    file.op("RESHAPE", [windowed, file.constant("one_axis", np.array([window], np.int32))], [frame])
    file.custom("SignalFftAutoScale", [frame], [scaled, bits])
    file.custom("SignalRfft", [scaled], [spectrum], T=file.schema.TensorType.INT16, fft_length=points)
    file.custom("SignalEnergy", [spectrum], [energies], start_index=bank.start, end_index=bank.end)
    return energies, bits


def _logarithms(file: _File, settings: FrontEnd, pcm: int) -> int:
    """int16[channels], whose scale makes features of them."""
    n = settings.channels
    bank = tables.filter_bank(
        settings.points, settings.sample_rate, n, settings.low_hz, settings.high_hz, settings.filter_bits
    )
    energies, bits = _energies(file, settings, pcm, bank)
    arrays = bank.weights, bank.unweights, bank.firsts, bank.first_weights, bank.widths
    names = "weights", "unweights", "first_energies", "first_weights", "widths"
    constants = [file.constant(name, array) for name, array in zip(names, arrays, strict=True)]
    sums, channels = file.tensor("sums", (n,), "uint64"), file.tensor("channels", (n,), "uint32")
    file.custom("SignalFilterBank", [energies, *constants], [sums], num_channels=n)
    file.custom("SignalFilterBankSquareRoot", [sums, bits], [channels])
    if settings.noise is not None:
        channels = _without_noise(file, settings, settings.noise, channels)
    logs = file.tensor("logarithms", (n,), "int16", scale=(1 / settings.unit, 0))
    correction = settings.correction_bits
    file.custom("SignalFilterBankLog", [channels], [logs], input_correction_bits=correction, output_scale=1 << LOG_BITS)
    return logs


def _without_noise(file: _File, settings: FrontEnd, noise: Noise, channels: int) -> int:
    n = settings.channels
    one = 1 << noise.bits
    even, odd = (int(part * one) for part in (noise.even, noise.odd))
    clean, estimate, gained = (file.tensor(name, (n,), "uint32") for name in ("clean", "noise", "gained"))
    file.custom(
        "SignalFilterBankSpectralSubtraction",
        [channels],
        [clean, estimate],
        alternate_one_minus_smoothing=one - odd,
        alternate_smoothing=odd,
        clamping=noise.clamping,
        min_signal_remaining=int(noise.remaining * one),
        num_channels=n,
        one_minus_smoothing=one - even,
        smoothing=even,
        smoothing_bits=noise.smoothing_bits,
        spectral_subtraction_bits=noise.bits,
    )
    input_bits = noise.smoothing_bits - settings.correction_bits
    table = tables.gains(noise.strength, noise.offset, input_bits, noise.gain_bits)
    shift = noise.gain_bits - settings.correction_bits - 12
    file.custom("SignalPCAN", [clean, estimate, file.constant("gains", table)], [gained], snr_shift=shift)
    return gained


def _row(file: _File, settings: FrontEnd, logs: int, dtype: str, scale: tuple[float, int] | None) -> int:
    """A row of features as the model takes them, (1, features)."""
    shape = file.constant("one_row", np.array([1, settings.features], np.int32))
    if settings.microspeech and dtype == "int8":
        logs = _micro(file, settings, logs, scale)
    row = file.tensor("row", (1, settings.features), dtype, scale=scale)
    if settings.dct or dtype == "float32":
        reals = file.tensor("reals", (settings.channels,), "float32")
        file.op("DEQUANTIZE", [logs], [reals], "DequantizeOptions")
        logs = reals
    if settings.dct:
        across, cosines = (
            file.tensor(name, (1, n), "float32") for name, n in (("across", settings.channels), ("dct", settings.dct))
        )
        file.op("RESHAPE", [logs, file.constant("across_shape", np.array([1, settings.channels], np.int32))], [across])
        weights = file.constant("cosines", tables.cosines(settings.dct, settings.channels))
        file.op("FULLY_CONNECTED", [across, weights, -1], [cosines], "FullyConnectedOptions")
        logs = cosines
    if not (settings.microspeech and dtype == "int8") and dtype != "float32":
        rounded = file.tensor("rounded", file.graph.tensors[logs].shape, dtype, scale=scale)
        file.op("QUANTIZE", [logs], [rounded], "QuantizeOptions")
        logs = rounded
    file.op("RESHAPE", [logs, shape], [row])
    return row


def _micro(file: _File, settings: FrontEnd, logs: int, scale: tuple[float, int] | None) -> int:
    """As TFLM's example has it: x * 256 / 666 - 128, halves away from 0, within int8."""
    types, n = file.schema.TensorType, settings.channels
    steps = ("wide", "times", "half", "quotient", "less", "below", "within")
    wide, times, half, quotient, less, below, within = (file.tensor(name, (n,), "int32") for name in steps)
    result = file.tensor("rounded", (n,), "int8", scale=scale)
    numbers = {name: np.array(value, np.int32) for name, value in (("256", 256), ("333", 333), ("666", 666))}
    numbers |= {"lowest": np.array(-128, np.int32), "highest": np.array(127, np.int32)}
    constants = {name: file.constant(name, value) for name, value in numbers.items()}
    file.op("CAST", [logs], [wide], "CastOptions", inDataType=types.INT16, outDataType=types.INT32)
    file.op("MUL", [wide, constants["256"]], [times], "MulOptions")
    file.op("ADD", [times, constants["333"]], [half], "AddOptions")
    file.op("DIV", [half, constants["666"]], [quotient], "DivOptions")
    file.op("ADD", [quotient, constants["lowest"]], [less], "AddOptions")
    file.op("MINIMUM", [less, constants["highest"]], [below], "MaximumMinimumOptions")
    file.op("MAXIMUM", [below, constants["lowest"]], [within], "MaximumMinimumOptions")
    file.op("CAST", [within], [result], "CastOptions", inDataType=types.INT32, outDataType=types.INT8)
    return result


def _all_rows(file: _File, row: int, rows: int, features: int, dtype: str, scale: tuple[float, int] | None) -> int:
    """The rows before, a variable, and this one; they begin with features of silence."""
    name = {"container": "tinycompile", "sharedName": "frontend_rows"}
    initialise = file.schema.SubGraphT()
    initialise.tensors = list[Any]()
    own = file.tensor("handle", (), "resource", graph=initialise)
    silence = -128 if dtype == "int8" and scale is not None and scale[1] == -128 else 0 if scale is None else scale[1]
    data = np.full((rows - 1, features), silence, dtype)
    value = file.tensor("silence", data.shape, dtype, data=data, scale=scale, graph=initialise)
    initialise.operators = [
        file.operation("VAR_HANDLE", [], [own], "VarHandleOptions", **name),
        file.operation("ASSIGN_VARIABLE", [own, value], [], "AssignVariableOptions"),
    ]
    initialise.inputs = initialise.outputs = np.zeros(0, np.int32)
    file.model.subgraphs.append(initialise)
    handle = file.tensor("handle", (), "resource")
    before, kept = (
        file.tensor(each, (rows - 1, features), dtype, scale=scale) for each in ("rows_before", "rows_kept")
    )
    every = file.tensor("rows", (rows, features), dtype, scale=scale)
    places = [
        file.constant(each, np.array(at, np.int32)) for each, at in (("first", (1, 0)), ("size", (rows - 1, features)))
    ]
    number = len(file.model.subgraphs) - 1
    file.op("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=number)
    file.op("VAR_HANDLE", [], [handle], "VarHandleOptions", **name)
    file.op("READ_VARIABLE", [handle], [before], "ReadVariableOptions")
    file.op("CONCATENATION", [before, row], [every], "ConcatenationOptions", axis=0)
    file.op("SLICE", [every, *places], [kept], "SliceOptions")
    file.op("ASSIGN_VARIABLE", [handle, kept], [], "AssignVariableOptions")
    return every


def with_front_end(content: bytes, settings: FrontEnd, where: str) -> bytes:
    """The file of a model whose input, rows of features, is computed from the samples of a hop: int16[hop].

    Raises:
        ToolMissingError: without LiteRT's schema. UnsupportedError: the model's input isn't rows of such features.
    """
    file = _File(_read(content))
    inputs = [int(i) for i in file.graph.inputs]
    tensor = file.graph.tensors[inputs[0]]
    numbers = cast("dict[str, object]", vars(file.schema.TensorType))
    names = {number: name.lower() for name, number in numbers.items() if isinstance(number, int)}
    dtype, shape = names.get(tensor.type, "?"), [int(n) for n in tensor.shape]
    rows, left = divmod(int(np.prod(shape)), settings.features)
    if len(inputs) != 1 or left or rows < 1 or dtype not in ("int8", "int16", "float32"):
        reason = f"{len(inputs)} inputs, the first {dtype}{shape}; rows of {settings.features} features are computed"
        raise UnsupportedError([("the front end", reason)], where=where, hint="one input of int8, int16 or float32")
    scale = None
    if tensor.quantization is not None and tensor.quantization.scale is not None and dtype != "float32":
        zeros = tensor.quantization.zeroPoint
        scale = float(tensor.quantization.scale[0]), 0 if zeros is None else int(zeros[0])
    pcm = file.tensor("pcm", (settings.hop,), "int16")
    row = _row(file, settings, _logarithms(file, settings, pcm), dtype, scale)
    every = _all_rows(file, row, rows, settings.features, dtype, scale) if rows > 1 else row
    file.op("RESHAPE", [every, file.constant("input_shape", np.array(shape, np.int32))], [inputs[0]])
    file.graph.inputs, file.model.signatureDefs = np.array([pcm], np.int32), None
    return file.content()


def front_end_graph(settings: FrontEnd) -> Graph:
    """The front end alone: int16[hop] to float32[1, features]."""
    file = _File(_empty())
    pcm = file.tensor("pcm", (settings.hop,), "int16")
    row = _row(file, settings, _logarithms(file, settings, pcm), "float32", None)
    file.graph.inputs, file.graph.outputs = np.array([pcm], np.int32), np.array([row], np.int32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FloatIslandWarning)
        return import_tflite(file.content(), "front_end", "front_end.tflite")
