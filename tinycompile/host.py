"""Runs the generated C on this machine: the same files, built with the system compiler, called through cffi."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from tinycompile.dtypes import INT32
from tinycompile.errors import ToolFailedError
from tinycompile.ir import Array, TensorType
from tinycompile.temporary import TemporaryFolder
from tinycompile.toolchain import require, run
from tinycompile.trace import TracePart, TraceRecord, records

_SHIM = """\
#include "MODEL.h"

uint32_t tc_context_bytes = (uint32_t)sizeof(MODEL_context);

#ifdef PREFIX_BRING_MEMORY /* one of several widths, whose memory is elsewhere */
static uint64_t tc_own_arena[PREFIX_ARENA_BYTES / 8u + 1u];
static uint64_t tc_own_scratch[PREFIX_SCRATCH_BYTES / 8u + 1u];
#endif

int tc_init(void *context, const void *weights);
int tc_init(void *context, const void *weights)
{
    MODEL_memory memory = {0};
#ifdef PREFIX_BRING_MEMORY
    memory.arena = tc_own_arena;
    memory.scratch = tc_own_scratch;
#endif
    memory.weights = weights;
    return (int)MODEL_init_with((MODEL_context *)context, &memory);
}

int tc_reset(void *context);
int tc_reset(void *context)
{
    return (int)MODEL_reset((MODEL_context *)context);
}

void *tc_arena(void *context);
void *tc_arena(void *context)
{
    return ((MODEL_context *)context)->arena;
}

typedef void (*tc_trace_callback)(int, const void *, uint32_t, int32_t, int32_t, int32_t);
tc_trace_callback tc_trace;
void tc_layer_done(int layer, const void *data, uint32_t bytes, int32_t row, int32_t column, int32_t columns);
void tc_layer_done(int layer, const void *data, uint32_t bytes, int32_t row, int32_t column, int32_t columns)
{
    if (tc_trace) {
        tc_trace(layer, data, bytes, row, column, columns);
    }
}
"""

_TRAINING_SHIM = """\

void *tc_state(void *context);
void *tc_state(void *context)
{
    return ((MODEL_context *)context)->state;
}

uint32_t tc_checkpoint_bytes = PREFIX_CHECKPOINT_BYTES;
"""


_NO_CHECKPOINT = 11
"""<MODEL>_ERROR_CHECKPOINT."""

_UNFINISHED = 13
"""<MODEL>_UNFINISHED."""

_GRADIENT_SHIM = """\

#include "MODEL_gradient.h"

uint32_t tc_gradient_size = (uint32_t)sizeof(MODEL_gradient);
uint32_t tc_message_size = PREFIX_GRADIENT_BYTES;

int tc_begin(void *gradient, void *context);
int tc_begin(void *gradient, void *context)
{
    return (int)MODEL_gradient_begin((MODEL_gradient *)gradient, (MODEL_context *)context);
}

int tc_export(void *gradient, void *context, uint8_t *message, uint32_t capacity, uint32_t *bytes);
int tc_export(void *gradient, void *context, uint8_t *message, uint32_t capacity, uint32_t *bytes)
{
    return (int)MODEL_gradient_export((MODEL_gradient *)gradient, (MODEL_context *)context, message, capacity, bytes);
}

int tc_apply(void *gradient, void *context, const uint8_t *message, uint32_t bytes);
int tc_apply(void *gradient, void *context, const uint8_t *message, uint32_t bytes)
{
    return (int)MODEL_gradient_apply((MODEL_gradient *)gradient, (MODEL_context *)context, message, bytes);
}
"""

_GRADIENT_CALLS = """
extern uint32_t tc_gradient_size; extern uint32_t tc_message_size; int tc_begin(void *, void *);
int tc_export(void *, void *, uint8_t *, uint32_t, uint32_t *); int tc_apply(void *, void *, const uint8_t *, uint32_t);
"""


LINE_BYTES = 32
"""Where a context begins at a multiple of the most bytes: for two cores of which one has a cache."""


class HostModel:
    """A model compiled for this machine. Not thread-safe: it has one context."""

    def __init__(
        self,
        folder: Path,
        model: str,
        inputs: Sequence[TensorType],
        outputs: Sequence[TensorType],
        arena_bytes: int,
        cflags: Sequence[str] = ("-O2",),
        streamed: bool = False,
        weights: Path | None = None,
        label: TensorType | None = None,
        steps: bool = False,
        unit: str | None = None,
    ) -> None:
        """Compile `folder`/`model`.c.

        Args:
            streamed: the only input comes row by row through a callback.
            weights: the file of separate weights.
            label: of a model with a training step: an int32 number of a class, or what the output should be.
            steps: it has <model>_invoke_steps.
            unit: the name of the network that it is one width of, whose C file has all of them; they read the widest
                one's weights.

        Raises:
            ToolMissingError, ToolFailedError: no C compiler, or it refused the code.
        """
        self._inputs, self._outputs, self._model, self._label = list(inputs), list(outputs), model, label
        self._temporary = TemporaryFolder("host")
        own = [f"{unit or model}.c"]
        if unit is not None:
            own += sorted(path.name for path in folder.glob(f"{unit}_w*_weights.c"))
        elif weights is None:
            own.append(f"{model}_weights.c")
        self._library_file = self._compiled(folder.resolve(), Path(self._temporary.name), cflags, own)
        self._ffi = cffi.FFI()
        self._ffi.cdef(
            f"int {model}_invoke(void *); int {model}_input_0_rows(void *, void *, void *);"
            "extern uint32_t tc_context_bytes; int tc_init(void *, const void *); void *tc_arena(void *);"
            "int tc_reset(void *);"
            "extern void (*tc_trace)(int, const void *, uint32_t, int32_t, int32_t, int32_t);"
        )
        if label is not None:
            given = "int32_t" if label.dtype == INT32 else "const void *"
            self._ffi.cdef(f"int {model}_train_step(void *, {given}, int32_t *); void *tc_state(void *);")
            self._ffi.cdef(f"int {model}_accumulate(void *, {given}, int32_t *); int {model}_apply(void *);")
            self._ffi.cdef(f"int {model}_evaluate(void *, int32_t, uint32_t *);")
            self._ffi.cdef(f"int {model}_set_learning_rate(void *, int32_t, int32_t);")
            self._ffi.cdef(f"int {model}_save(void *, void *, void *); int {model}_load(void *, void *, void *);")
            self._ffi.cdef(f"uint32_t {model}_checkpoint_number(void *); extern uint32_t tc_checkpoint_bytes;")
        if steps:
            self._ffi.cdef(f"int {model}_invoke_steps(void *, uint32_t); uint64_t {model}_steps_left(void *);")
        self._gradient: Any = None
        if (folder / f"{model}_gradient.h").exists():
            self._ffi.cdef(_GRADIENT_CALLS)
        for kind, types in (("input", () if streamed else tuple(inputs)), ("output", tuple(outputs))):
            for index in range(len(types)):
                self._ffi.cdef(f"void *{model}_{kind}_{index}(void *);")
        self._arena_bytes, self._streamed = arena_bytes, streamed
        self._weights_file = weights
        self._open(self._library_file)

    def _open(self, library: Path) -> None:
        """With a context that is ready."""
        self._library: Any = self._ffi.dlopen(str(library))
        self._image = b""
        self._memory: Any = self._ffi.new("uint64_t[]", -(-self._library.tc_context_bytes // 8) + LINE_BYTES // 8)
        address = int(self._ffi.cast("uintptr_t", self._memory))
        self._context: Any = self._memory + -address % LINE_BYTES // 8
        self._initialise(None if self._weights_file is None else self._weights_file.read_bytes())
        self._rows: Any = self._ffi.callback("void(void *, int32_t, int32_t, void *)", self._give_rows)
        self._connect_rows()

    def twin(self) -> HostModel:
        """The same model once more, for another thread: also static memory, which its C has for scratch, is its own."""
        found = copy.copy(self)
        library = Path(tempfile.mkdtemp(dir=self._temporary.name)) / self._library_file.name
        shutil.copy(self._library_file, library)
        found._open(library)
        return found

    def _compiled(self, folder: Path, work: Path, cflags: Sequence[str], sources: Sequence[str]) -> Path:
        """The model's sources and the shim as a shared library.

        One translation unit: that takes the compiler two thirds of the time of three.
        """
        program, library = work / "program.c", work / "model.so"
        included = "".join(f'#include "{name}"\n' for name in sources)
        shim = _SHIM if self._label is None else _SHIM + _TRAINING_SHIM
        if (folder / f"{self._model}_gradient.h").exists():
            shim += _GRADIENT_SHIM
        program.write_text(included + shim.replace("MODEL", self._model).replace("PREFIX", self._model.upper()))
        flags = ["-std=c99", *cflags, "-ffp-contract=off", "-fPIC", "-shared", "-DTC_TRACE", "-iquote", str(folder)]
        run([require("cc"), *flags, program.name, "-lm", "-o", str(library)], cwd=work)
        return library

    def _initialise(self, content: bytes | None) -> None:
        """With separate weights, at an address of 8, if the model has such."""
        self._weights: Any = self._ffi.NULL
        if content is not None:
            self._weights = self._ffi.new("uint64_t[]", -(-len(content) // 8))
            self._ffi.memmove(self._weights, content, len(content))
        status = self._library.tc_init(self._context, self._weights)
        if status != 0:
            raise ToolFailedError(f"{self._model}_init returned {status} on the host", hint=f"see {self._model}.h")

    def reset(self) -> None:
        """The next inference is the first step of a sequence again, where the model has states."""
        status = self._library.tc_reset(self._context)
        if status != 0:
            raise ToolFailedError(f"{self._model}_reset returned {status} on the host")

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference, or step; arrays of the model's own shapes and types."""
        self._give(inputs)
        self._call("invoke")
        return [self._read(self._pointer("output", i), t) for i, t in enumerate(self._outputs)]

    def begin(self, inputs: Sequence[Array]) -> None:
        """Gives an inference in steps its inputs."""
        self._give(inputs)

    def step(self, budget: int) -> list[Array] | None:
        """Executes steps of so many instructions; the outputs where the inference is complete after them."""
        status = getattr(self._library, f"{self._model}_invoke_steps")(self._context, budget)
        if status == _UNFINISHED:
            return None
        self._checked("invoke_steps", status)
        return [self._read(self._pointer("output", i), t) for i, t in enumerate(self._outputs)]

    @property
    def steps_left(self) -> int:
        """Instructions that are left of an inference in steps, by estimates."""
        return int(getattr(self._library, f"{self._model}_steps_left")(self._context))

    def train(self, label: int | Array, inputs: Sequence[Array]) -> int:
        """One step of training, of a model that has one; the loss before it, with 16 fractional bits."""
        return self._learn("train_step", label, inputs)

    def accumulate(self, label: int | Array, inputs: Sequence[Array]) -> int:
        """The same without a change of the parameters, of a model that accumulates."""
        return self._learn("accumulate", label, inputs)

    def apply(self) -> None:
        """Changes the parameters by what was accumulated."""
        self._call("apply")

    def _learn(self, function: str, label: int | Array, inputs: Sequence[Array]) -> int:
        if self._label is None:
            raise ToolFailedError(f"{self._model} has no training step")
        self._give(inputs)
        loss: Any = self._ffi.new("int32_t *")
        if self._label.dtype == INT32:
            self._call(function, int(np.asarray(label).item()), loss)
        else:
            packed = self._label.dtype.pack(np.asarray(label)).tobytes()
            self._call(function, self._ffi.from_buffer(packed), loss)
        return int(loss[0])

    def evaluate(self, label: int, inputs: Sequence[Array], counters: tuple[int, int]) -> tuple[int, int]:
        """(right, seen) predictions after another one, of a model that learns classes."""
        self._give(inputs)
        counted: Any = self._ffi.new("uint32_t[2]", counters)
        self._call("evaluate", label, counted)
        return counted[0], counted[1]

    def set_learning_rate(self, mantissa: int, exponent: int) -> None:
        """Of all steps to come, mantissa * 2^exponent."""
        self._call("set_learning_rate", mantissa, exponent)

    def state(self, offset: int, t: TensorType) -> Array:
        """A state of a model with a training step, at its place in the memory of states."""
        return self._read(self._ffi.cast("char *", self._library.tc_state(self._context)) + offset, t)

    def set_state(self, offset: int, t: TensorType, values: Array) -> None:
        """Writes one, as whoever stores parameters in another way would have left it."""
        data = t.dtype.pack(np.asarray(values, t.dtype.carrier)).tobytes()
        memory: Any = self._ffi.cast("char *", self._library.tc_state(self._context))
        memory[offset : offset + t.bytes] = data

    @property
    def checkpoint_bytes(self) -> int:
        """Of a slot."""
        return int(self._library.tc_checkpoint_bytes)

    @property
    def checkpoint_number(self) -> int:
        """Of the checkpoint that the parameters are from; 0 if there is none."""
        return int(getattr(self._library, f"{self._model}_checkpoint_number")(self._context))

    def save(self, slots: Sequence[bytearray], power: int | None = None) -> None:
        """Writes the trained parameters to the one of two slots that isn't in use.

        Args:
            power: it fails after so many bytes; None for never.

        Raises:
            ToolFailedError: power failed, or `load` wasn't called before.
        """
        left = self.checkpoint_bytes if power is None else power

        def write(_user: object, slot: int, offset: int, data: object, size: int) -> int:
            nonlocal left
            written = min(size, left)
            slots[slot][offset : offset + written] = bytes(self._ffi.buffer(data, written))
            left -= written
            return int(written < size)

        callback: Any = self._ffi.callback("int32_t(void *, uint32_t, uint32_t, const void *, uint32_t)", write)
        self._call("save", self._ffi.cast("void *", callback), self._ffi.NULL)

    def load(self, slots: Sequence[bytes | bytearray]) -> bool:
        """Reads the newer intact one of two checkpoints; False if there is none."""

        def read(_user: object, slot: int, offset: int, data: Any, size: int) -> int:
            found = slots[slot][offset : offset + size]
            self._ffi.memmove(data, bytes(found), len(found))
            return int(len(found) < size)

        callback: Any = self._ffi.callback("int32_t(void *, uint32_t, uint32_t, void *, uint32_t)", read)
        load = getattr(self._library, f"{self._model}_load")
        status = load(self._context, self._ffi.cast("void *", callback), self._ffi.NULL)
        if status not in (0, _NO_CHECKPOINT):
            raise ToolFailedError(f"{self._model}_load returned {status} on the host")
        return status == 0

    def restart(self) -> None:
        """As after power came back: nothing is known of checkpoints, states have their initial values."""
        self._library.tc_init(self._context, self._weights)
        self._connect_rows()

    def _connect_rows(self) -> None:
        """Tells the model where the rows of an input come from that comes row by row."""
        if self._streamed:
            rows = self._ffi.cast("void *", self._rows)
            getattr(self._library, f"{self._model}_input_0_rows")(self._context, rows, self._ffi.NULL)

    def begin_gradient(self) -> None:
        """The present parameters are those that all devices have; of a model that exports what it learns."""
        size = -(-self._library.tc_gradient_size // 8)
        self._gradient = self._ffi.new("uint64_t[]", size)
        self._checked("gradient_begin", self._library.tc_begin(self._gradient, self._context))

    def export_gradient(self) -> bytes:
        """A message with what was learned since."""
        message: Any = self._ffi.new("uint8_t[]", self._library.tc_message_size)
        used: Any = self._ffi.new("uint32_t *")
        status = self._library.tc_export(self._gradient, self._context, message, len(message), used)
        self._checked("gradient_export", status)
        return bytes(self._ffi.buffer(message, used[0]))

    def apply_gradient(self, message: bytes) -> None:
        """A server's message. Raises ToolFailedError: it is none."""
        given: Any = self._ffi.from_buffer("uint8_t[]", message)
        status = self._library.tc_apply(self._gradient, self._context, given, len(message))
        self._checked("gradient_apply", status)

    def _checked(self, function: str, status: int) -> None:
        if status != 0:
            raise ToolFailedError(f"{self._model}_{function} returned {status} on the host")

    def _call(self, function: str, *arguments: object) -> None:
        status = getattr(self._library, f"{self._model}_{function}")(self._context, *arguments)
        if status != 0:
            raise ToolFailedError(f"{self._model}_{function} returned {status} on the host")

    def _give(self, inputs: Sequence[Array]) -> None:
        for index, (array, t) in enumerate(zip(inputs, self._inputs, strict=True)):
            data = t.dtype.pack(np.asarray(array, t.dtype.carrier)).tobytes()
            if self._streamed:
                self._image = data
                continue
            self._ffi.memmove(self._pointer("input", index), data, t.bytes)

    @property
    def arena(self) -> memoryview:
        """The memory of the context, writable: for tests that overwrite what isn't in use."""
        return memoryview(self._ffi.buffer(self._library.tc_arena(self._context), self._arena_bytes)).cast("B")

    def trace(
        self, inputs: Sequence[Array], after: Callable[[int], None] | None = None
    ) -> tuple[list[Array], list[TraceRecord]]:
        """One inference, with the result of every layer.

        Args:
            after: called with the layer's index after each result, or part of one.
        """
        parts = list[TracePart]()

        def done(layer: int, data: object, size: int, row: int, column: int, columns: int) -> None:
            parts.append(TracePart(layer, bytes(self._ffi.buffer(data, size)), row, column, columns))
            if after is not None:
                after(layer)

        callback = self._ffi.callback("void(int, const void *, uint32_t, int32_t, int32_t, int32_t)", done)
        self._library.tc_trace = callback
        try:
            outputs = self.run(inputs)
            return outputs, records(parts)
        finally:
            self._library.tc_trace = self._ffi.NULL

    def _give_rows(self, user: object, first: int, rows: int, to: Any) -> None:
        """The callback of a model whose input comes row by row."""
        row_bytes = self._inputs[0].bytes // self._inputs[0].shape[1]
        self._ffi.memmove(to, self._image[first * row_bytes : (first + rows) * row_bytes], rows * row_bytes)

    def _pointer(self, kind: str, index: int) -> Any:
        return getattr(self._library, f"{self._model}_{kind}_{index}")(self._context)

    def _read(self, pointer: Any, t: TensorType) -> Array:
        return t.dtype.unpack(bytes(self._ffi.buffer(pointer, t.bytes)), t.elements).reshape(t.shape)
