"""Runs the generated C on this machine: the same files, built with the system compiler, called through cffi."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from tinycompile.errors import ToolFailedError
from tinycompile.ir import Array, TensorType
from tinycompile.toolchain import require, run
from tinycompile.trace import TracePart, TraceRecord, records

_TRACE_SOURCE = """\
#include <stdint.h>
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
        scratch_bytes: int = 0,
        streamed: bool = False,
        weights: Path | None = None,
    ) -> None:
        """Compile `folder`/`model`.c.

        Args:
            scratch_bytes: of scratch apart from the arena; 0 where it is inside.
            streamed: the only input comes row by row through a callback.
            weights: the file of separate weights.

        Raises:
            ToolMissingError, ToolFailedError: no C compiler, or it refused the code.
        """
        self._inputs, self._outputs, self._model = list(inputs), list(outputs), model
        self._temporary = tempfile.TemporaryDirectory(prefix="tinycompile-host-")
        work = Path(self._temporary.name)
        trace, library = work / "trace.c", work / f"lib{model}.so"
        trace.write_text(_TRACE_SOURCE)
        own = [f"{model}.c"] if weights else [f"{model}.c", f"{model}_weights.c"]
        sources = [*(str(folder.resolve() / name) for name in own), str(trace)]
        run(
            [require("cc"), "-std=c99", *cflags, "-ffp-contract=off", "-fPIC", "-shared", "-DTC_TRACE"]
            + [*sources, "-lm", "-o", str(library)],
            cwd=work,
        )
        self._ffi = cffi.FFI()
        self._ffi.cdef(
            f"int {model}_invoke(void *);"
            "extern void (*tc_trace)(int, const void *, uint32_t, int32_t, int32_t, int32_t);"
        )
        for kind, types in (("input", () if streamed else tuple(inputs)), ("output", tuple(outputs))):
            for index in range(len(types)):
                self._ffi.cdef(f"void *{model}_{kind}_{index}(void *);")
        self._library: Any = self._ffi.dlopen(str(library))
        self._arena_bytes, words = arena_bytes, arena_bytes // 8
        self._context: Any = self._ffi.new("uint64_t[]", words + 4)
        pointers = self._ffi.cast("void **", self._context + words)  # the context ends with them
        if scratch_bytes:
            self._scratch = self._ffi.new("uint64_t[]", scratch_bytes // 8)
            pointers[0] = self._scratch
        self._image = b""
        self._streamed = streamed
        if streamed:
            self._rows: Any = self._ffi.callback("void(void *, int32_t, int32_t, void *)", self._give_rows)
            pointers[1 if scratch_bytes else 0] = self._ffi.cast("void *", self._rows)

        if weights:
            self._install(weights.read_bytes())

    def _install(self, content: bytes) -> None:
        """Separate weights, at an address of 8."""
        self._ffi.cdef(f"int {self._model}_init(void *, const void *);")
        self._weights = self._ffi.new("uint64_t[]", -(-len(content) // 8))
        self._ffi.memmove(self._weights, content, len(content))
        status = getattr(self._library, f"{self._model}_init")(self._context, self._weights)
        if status != 0:
            raise ToolFailedError(f"{self._model}_init returned {status} on the host", hint=f"see {self._model}.h")

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; arrays of the model's own shapes and types."""
        for index, (array, t) in enumerate(zip(inputs, self._inputs, strict=True)):
            data = np.ascontiguousarray(array, t.dtype).tobytes()
            if self._streamed:
                self._image = data
                continue
            self._ffi.memmove(self._pointer("input", index), data, t.bytes)
        status = getattr(self._library, f"{self._model}_invoke")(self._context)
        if status != 0:
            raise ToolFailedError(f"{self._model}_invoke returned {status} on the host")
        return [self._read(self._pointer("output", i), t) for i, t in enumerate(self._outputs)]

    @property
    def arena(self) -> memoryview:
        """The memory of the context, writable: for tests that overwrite what isn't in use."""
        return memoryview(self._ffi.buffer(self._context, self._arena_bytes)).cast("B")

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
        return np.frombuffer(bytes(self._ffi.buffer(pointer, t.bytes)), t.dtype).reshape(t.shape).copy()
