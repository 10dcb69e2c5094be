"""Mutations: of bytes, of a flatbuffer's words, of a TFLite model's tables, of a protobuf's fields."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import tflite
from google.protobuf.descriptor import FieldDescriptor as Field

from tests.fuzz.seeds import TfliteSeed, onnx_seeds, tflite_seeds
from tests.support.tflite_builder import OPTIONS, OpSpec, TensorSpec

INTEGERS = (0, 1, 2, 3, 4, 7, 8, 16, 63, 127, 128, 255, 256, 1024, 65535, 2**16, 2**24, 2**30, 2**31 - 1, 2**31, 2**32)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-30, 1e30, 3e38, float("inf"), float("-inf"), float("nan"))
NAMES = (
    *("", ".", "..", "/", "../../../../tmp/escaped", "/etc/passwd", "a\0b", "a\nb", "a\r\n#include </etc/passwd>\n"),
    *("int", "while", "main", "memcpy", "NULL", "errno", "tc_layer_done", "context", "arena", "_", "__x", "1", "%s%n"),
    *("x" * 10_000, "é" * 300, "名前", "\u202eevil", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")),
    *("*/ int x; /*", "//", "??/", "a\\", "\\\n", "??/\n*/"),
    *('"); system("true', "$(touch escaped)", "`id`", "{{ 7 * 7 }}", "{% raw %}"),
)
"""What names become."""


class Mutator:
    """All that happens to one file follows from (seed, index)."""

    def __init__(self, seed: int, index: int) -> None:
        self.rng = np.random.default_rng([seed, index])

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def integer(self, value: int) -> int:
        """Another integer: close to the old one, or at an edge."""
        if self.chance(0.4):
            return value + int(self.rng.integers(-3, 4))
        return int(self.pick(INTEGERS)) * (-1 if self.chance(0.3) else 1)

    def real(self, value: float) -> float:
        return float(value * self.rng.normal()) if self.chance(0.4) else float(self.pick(FLOATS))

    def integers(self, values: Sequence[int]) -> list[int]:
        found = list(values)
        if found and self.chance(0.75):
            place = int(self.rng.integers(len(found)))
            found[place] = self.integer(found[place])
        elif found and self.chance(0.5):
            del found[int(self.rng.integers(len(found)))]
        else:
            found.insert(int(self.rng.integers(len(found) + 1)), self.integer(1))
        return found

    def damaged(self, content: bytes) -> bytes:
        """Bytes changed, words set to lengths and offsets that hurt, parts cut, doubled or moved."""
        data = np.frombuffer(content, np.uint8).copy()
        kind = int(self.rng.integers(5))
        if data.size < 16 or kind == 0:
            return data.tobytes()[: int(self.rng.integers(data.size + 1))]
        if kind == 1:
            places = self.rng.integers(0, data.size, int(self.rng.integers(1, 9)))
            data[places] = self.rng.integers(0, 256, places.size)
        elif kind == 2:
            words = data[: data.size // 4 * 4].view("<u4")
            for place in self.rng.integers(0, words.size, int(self.rng.integers(1, 4))):
                words[place] = self.integer(int(words[place])) & 0xFFFFFFFF
        else:
            start, length = int(self.rng.integers(data.size)), int(self.rng.integers(1, 65))
            part, place = data[start : start + length], int(self.rng.integers(data.size))
            rest = data if kind == 3 else np.delete(data, slice(start, start + length))
            return np.insert(rest, min(place, rest.size), part).tobytes()
        return data.tobytes()

    def tflite(self) -> bytes:
        seed = self.pick(tflite_seeds())
        if self.chance(0.3):
            builder, inputs, outputs = seed
            return self.damaged(builder.build(inputs, outputs))
        while True:
            builder, inputs, outputs = self._tables(copy.deepcopy(seed))
            try:
                content = builder.build(inputs, outputs)
            except Exception:  # noqa: S112 - a value that the format can't hold
                continue
            return self.damaged(content) if self.chance(0.05) else content

    def _tables(self, seed: TfliteSeed) -> TfliteSeed:
        builder, inputs, outputs = seed
        for _ in range(int(self.pick((1, 1, 1, 2, 3)))):
            kind = self.rng.random()
            if kind < 0.5:
                self._tensor(self.pick(builder.tensors))
            elif kind < 0.85:
                self._operator(self.pick(builder.ops))
            elif kind < 0.9:
                builder.ops.insert(int(self.rng.integers(len(builder.ops) + 1)), copy.deepcopy(self.pick(builder.ops)))
            elif kind < 0.92:
                builder.subgraphs = int(self.rng.integers(0, 3))
            elif kind < 0.94:
                builder.outside = int(self.rng.integers(0, 64))
            elif self.chance(0.5):
                inputs = self.integers(inputs)
            else:
                outputs = self.integers(outputs)
        return builder, inputs, outputs

    def _tensor(self, t: TensorSpec) -> None:
        changes: list[Callable[[], None]] = [
            lambda: setattr(t, "name", self.pick(NAMES)),
            lambda: setattr(t, "shape", self.integers(t.shape)),
            lambda: setattr(t, "shape", self.integers(t.shape)),
            lambda: setattr(t, "dtype", int(self.rng.integers(0, 20))),
            lambda: setattr(t, "scale", None if self.chance(0.2) else [self.real(s) for s in t.scale or [1.0]]),
            lambda: setattr(t, "zero_point", self.integers(t.zero_point or [0])),
            lambda: setattr(t, "axis", self.integer(t.axis)),
            lambda: setattr(t, "is_variable", self.chance(0.5)),
            lambda: setattr(t, "signature", [-1 if self.chance(0.4) else self.integer(n) for n in t.shape]),
            lambda: setattr(t, "place", (abs(self.integer(64)), abs(self.integer(len(t.data or b""))))),
            lambda: setattr(t, "blocks", {n: self.integer(v) for n, v in (t.blocks or {0: 1, 2: 4}).items()}),
            *[lambda: setattr(t, "data", self._data(t.data))] * 3,
            *[lambda: setattr(t, "scale", [self.real(s) for s in t.scale or [1.0]])] * 3,
        ]
        self.pick(changes)()

    def _data(self, data: bytes | None) -> bytes | None:
        if data is None:
            return bytes(int(self.rng.integers(0, 64)))
        if self.chance(0.7) and data:
            array = np.frombuffer(data, np.uint8).copy()
            places = self.rng.integers(0, array.size, int(self.rng.integers(1, 6)))
            array[places] = self.rng.integers(0, 256, places.size)
            return array.tobytes()
        if self.chance(0.3):
            return bytes([self.pick((0, 0x7F, 0x80, 0xFF))]) * len(data)
        return self.pick((None, b"", data[:-1], data + b"\0"))

    def _operator(self, op: OpSpec) -> None:
        kind = self.rng.random()
        if kind < 0.3:
            op.inputs = self.integers(op.inputs)
        elif kind < 0.4:
            op.outputs = self.integers(op.outputs)
        elif kind < 0.55:
            name = self.pick(sorted(OPTIONS))
            op.code = getattr(tflite.BuiltinOperator, name) if self.chance(0.8) else int(self.rng.integers(0, 220))
        elif kind < 0.6:
            op.version, op.form = self.integer(op.version), self.pick(("both", "newer", "deprecated"))
        elif op.fields:
            name = self.pick(sorted(op.fields))
            value = op.fields[name]
            if isinstance(value, str):
                op.fields[name] = value[1:] if self.chance(0.5) else value + "\u00e9"
            elif isinstance(value, Sequence):
                op.fields[name] = self.integers(value)
            else:
                op.fields[name] = self.real(value) if isinstance(value, float) else self.integer(int(value))

    def onnx(self) -> bytes:
        model = onnx.ModelProto()
        model.CopyFrom(self.pick(onnx_seeds()))
        if self.chance(0.25):
            return self.damaged(model.SerializeToString())
        for _ in range(int(self.pick((1, 1, 1, 2, 3)))):
            self._message(model)
        content = model.SerializeToString()
        return self.damaged(content) if self.chance(0.05) else content

    def _message(self, root: Any) -> None:
        """Change a field of a random message in the tree."""
        message, depth = root, 0
        while depth < 12:
            below = [v for field, v in message.ListFields() if field.type == Field.TYPE_MESSAGE]
            below = [m for value in below for m in (value if _repeated(value) else [value])]
            if not below or (depth > 1 and self.chance(0.3)):
                break
            message, depth = self.pick(below), depth + 1
        for _ in range(8):
            field = self.pick(message.DESCRIPTOR.fields)
            if self._field(message, field):
                return

    def _field(self, message: Any, field: Any) -> bool:
        value = getattr(message, field.name)
        try:
            if not _repeated(value):
                return self._scalar(message, field, value)
            if len(value) and self.chance(0.3):
                del value[int(self.rng.integers(len(value)))]
            elif field.type == Field.TYPE_MESSAGE:
                value.add().CopyFrom(self.pick(value)) if len(value) else value.add()
            elif len(value) and self.chance(0.8):
                place = int(self.rng.integers(len(value)))
                value[place] = self._value(field, value[place])
            else:
                value.append(self._value(field, value[0] if len(value) else None))
        except (ValueError, TypeError, OverflowError):  # the format can't hold it
            return False
        return True

    def _scalar(self, message: Any, field: Any, value: Any) -> bool:
        if not message.HasField(field.name) and self.chance(0.7):
            return False
        if self.chance(0.15):
            message.ClearField(field.name)
        elif field.type == Field.TYPE_MESSAGE:
            getattr(message, field.name).SetInParent()
        else:
            setattr(message, field.name, self._value(field, value))
        return True

    def _value(self, field: Any, old: Any) -> Any:
        if field.type == Field.TYPE_STRING:
            return self.pick(NAMES) if self.chance(0.5) else (old or "") + self.pick(("", "_", "0", "\0"))
        if field.type == Field.TYPE_BYTES:
            return self._data(old or b"") or b""
        if field.type in (Field.TYPE_FLOAT, Field.TYPE_DOUBLE):
            return self.real(old or 1.0)
        if field.type == Field.TYPE_ENUM:
            return int(self.rng.integers(0, 24))
        return self.integer(int(old or 0))


def _repeated(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes)
