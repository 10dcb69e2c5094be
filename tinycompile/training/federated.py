"""Federated learning: what devices have learned, compressed, and what a server makes of it (docs/federated.md).

Between two messages a device learns on its own. The change of each trained parameter since the last common model goes
through Deep Gradient Compression (Lin et al., ICLR 2018): clipped, accumulated with momentum correction, of which the
largest are sent and the rest is kept, with what rounding took. Everything is integers in units of the parameters, so
that NumPy, a device and another device agree in every bit. `runtime/kernels/tc_gradient_message.h` is the same in C.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.ir import Array
from tinycompile.numerics.block_floating import BIAS_LIMIT, MASTER_LIMIT
from tinycompile.numerics.fixed_point import Int64Array

MAGIC = 0x4D474354
"""`TCGM`."""

HEADER = struct.Struct("<IIIHH")
"""Magic, identity of the model, round, tensors, bits of a value."""

FRACTION_BITS = 16
"""Of the share of values that are sent."""

MOMENTUM_BITS = 15
LARGEST_CHANGE = 1 << 23
"""Of a parameter between two messages."""

LARGEST_SUM = 1 << 30
"""Of what is accumulated of a parameter."""

BIAS_UNITS = 128
"""Units of a bias' change that count as much as one of a master weight's: biases are sums of products with inputs."""

SERVER_BITS = 16


class MessageError(Exception):
    """A message that isn't one of this model, or was damaged; the text says why."""


@dataclass(frozen=True)
class GradientExport:
    """How a device's changes are compressed.

    Attributes:
        share: of each tensor's values that are sent, in units of 2^-16.
        bits: of a value, 8 or 16.
        momentum: in units of 2^-15.
        limit: root mean square of a tensor's changes, in units of master weights, up to which they aren't clipped.
        warm_up: rounds in which more is sent: a quarter in the first, a quarter of that in each one after it.
    """

    share: int
    bits: int = 8
    momentum: int = 29491
    limit: int = 256
    warm_up: int = 4

    def kept(self, count: int, number: int) -> int:
        """How many of a tensor's values the message of a round has, at most."""
        share = max(self.share, 1 << FRACTION_BITS - 2 * (number + 1)) if number < min(self.warm_up, 8) else self.share
        return max(1, count * share >> FRACTION_BITS)

    def largest_message(self, counts: Sequence[int]) -> int:
        """Bytes, of tensors of so many elements: gaps take a byte, and another one for each 128 elements."""
        return _largest(counts, [self.kept(count, 0) for count in counts], self.bits)

    def largest_answer(self, counts: Sequence[int]) -> int:
        """The same of a server's, which may have all elements."""
        return _largest(counts, counts, SERVER_BITS)


def _largest(counts: Sequence[int], most: Sequence[int], bits: int) -> int:
    entries = sum(n * (1 + bits // 8) + count // 128 + 5 for n, count in zip(most, counts, strict=True))
    return HEADER.size + entries + 4


def read_export(text: str) -> GradientExport:
    """`topk=1%`, also with `bits=8|16`, `momentum=0.9`, `clip=1.0` (int8 steps) and `warmup=4` behind commas.

    Raises:
        UsageError: it is something else.
    """
    hint = "--export-gradient topk=1%,bits=8,momentum=0.9,clip=1.0,warmup=4"
    given = dict[str, str]()
    for part in text.split(","):
        key, equal, value = (word.strip() for word in part.partition("="))
        if not equal or key in given or key not in ("topk", "bits", "momentum", "clip", "warmup"):
            raise UsageError(f"--export-gradient {text!r}: {part.strip()!r} is no setting", hint=hint)
        given[key] = value
    try:
        share = float(given["topk"].removesuffix("%")) / (100 if given["topk"].endswith("%") else 1)
        momentum, clip = float(given.get("momentum", "0.9")), float(given.get("clip", "1"))
        bits, warm_up = int(given.get("bits", "8")), int(given.get("warmup", "4"))
    except (KeyError, ValueError) as error:
        raise UsageError(f"--export-gradient {text!r} says no share to send", hint=hint) from error
    if not (0 < share <= 1 and 0 <= momentum < 1 and 0 < clip <= 100 and bits in (8, 16) and 0 <= warm_up <= 8):
        raise UsageError(f"--export-gradient {text!r}: a setting is out of range", hint=hint)
    whole = max(1, round(share * (1 << FRACTION_BITS)))
    return GradientExport(whole, bits, round(momentum * (1 << MOMENTUM_BITS)), max(1, round(256 * clip)), warm_up)


def towards_zero(values: Int64Array, factor: int, bits: int) -> Int64Array:
    """values * factor / 2^bits."""
    return np.sign(values) * (np.abs(values) * factor >> bits)


def clipped(change: Int64Array, limit: int) -> Int64Array:
    """Shorter where its root mean square is above the limit."""
    squares = int((change * change).sum())
    if squares <= limit * limit * change.size:
        return change
    return towards_zero(change, (limit << MOMENTUM_BITS) // isqrt(squares // change.size), MOMENTUM_BITS)


def largest(values: Int64Array, count: int) -> Array:
    """Indices, ascending, of the largest absolute values but zeros; of equal ones the first."""
    sizes = np.abs(values)
    order = np.argsort(-sizes, kind="stable")[:count]
    return np.sort(order[sizes[order] > 0])


def rounded(values: Int64Array, bits: int) -> tuple[Int64Array, int]:
    """(values / 2^exponent with so many bits and halves upwards, the exponent)."""
    exponent = max(0, int(np.abs(values).max(initial=0)).bit_length() - (bits - 1))
    most = (1 << bits - 1) - 1
    return np.clip((values + ((1 << exponent) >> 1)) >> exponent, -most, most), exponent


@dataclass(frozen=True, eq=False)
class Sparse:
    """What a message says of a tensor: values[i] * 2^exponent belongs to element indices[i]; indices ascend."""

    indices: Array
    values: Int64Array
    exponent: int

    def dense(self, count: int) -> Int64Array:
        found = np.zeros(count, np.int64)
        found[self.indices] = self.values << self.exponent
        return found


@dataclass(frozen=True, eq=False)
class Message:
    """Attributes:
    identity: of the model. number: of the round. tensors: in the order of the model's trained parameters.
    """

    identity: int
    number: int
    bits: int
    tensors: Sequence[Sparse]

    def pack(self) -> bytes:
        """Little-endian: the header; of each tensor how many values it has (4 bytes), their exponent, and of each value
        the elements that were left out before it (7 bits to a byte, the last below 128), and it; then CRC-32.
        """
        found = bytearray(HEADER.pack(MAGIC, self.identity, self.number, len(self.tensors), self.bits))
        kind = f"<i{self.bits // 8}"
        for tensor in self.tensors:
            found += struct.pack("<IB", len(tensor.indices), tensor.exponent)
            gaps = np.diff(tensor.indices.astype(np.int64), prepend=-1) - 1
            for gap, value in zip(gaps.tolist(), tensor.values.tolist(), strict=True):
                while gap >= 128:
                    found.append(gap & 127 | 128)
                    gap >>= 7
                found.append(gap)
                found += np.array(value, kind).tobytes()
        return bytes(found + struct.pack("<I", zlib.crc32(found)))

    @staticmethod
    def unpack(data: bytes, counts: Sequence[int]) -> Message:
        """Of tensors of so many elements.

        Raises:
            MessageError: damaged, or of another model.
        """
        if len(data) < HEADER.size + 4 or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise MessageError("it is damaged: its CRC-32 is another one")
        magic, identity, number, tensors, bits = HEADER.unpack_from(data)
        if magic != MAGIC or tensors != len(counts) or bits not in (8, 16):
            raise MessageError("it is no message of gradients of this model")
        reader, found = _Reader(data[HEADER.size : -4]), list[Sparse]()
        for count in counts:
            found.append(reader.tensor(count, bits // 8))
        if reader.rest:
            raise MessageError("something follows its last tensor")
        return Message(identity, number, bits, found)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def rest(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.rest:
            raise MessageError("it ends within a tensor")
        self._at += count
        return self._data[self._at - count : self._at]

    def tensor(self, count: int, size: int) -> Sparse:
        entries, exponent = struct.unpack("<IB", self.take(5))
        if entries > count or exponent > 31:
            raise MessageError(f"a tensor of {count} elements has {entries} values, at exponent {exponent}")
        indices, values, place = list[int](), list[int](), -1
        for _ in range(entries):
            place += self._gap() + 1
            if place >= count:
                raise MessageError(f"a tensor of {count} elements has one of number {place}")
            indices.append(place)
            values.append(int.from_bytes(self.take(size), "little", signed=True))
        return Sparse(np.array(indices, np.intp), np.array(values, np.int64), exponent)

    def _gap(self) -> int:
        gap = shift = 0
        while True:
            (byte,) = self.take(1)
            gap |= (byte & 127) << shift
            if byte < 128:
                return gap
            shift += 7
            if shift > 28:
                raise MessageError("a gap is longer than any tensor")


def saturated(values: Int64Array, bias: bool) -> Int64Array:
    """Parameters within the range of theirs."""
    return np.clip(values, -BIAS_LIMIT, BIAS_LIMIT) if bias else np.clip(values, -MASTER_LIMIT, MASTER_LIMIT - 1)


@dataclass
class Client:
    """A device's part, as C computes it, of trained parameters by name (int16 master weights, int32 biases).

    Attributes:
        common: the parameters that all devices had last. velocity, residual: of each element. number: of messages made.
        biases: which of them are.
    """

    export: GradientExport
    identity: int
    common: dict[str, Int64Array] = field(default_factory=dict[str, Int64Array])
    velocity: dict[str, Int64Array] = field(default_factory=dict[str, Int64Array])
    residual: dict[str, Int64Array] = field(default_factory=dict[str, Int64Array])
    number: int = 0
    biases: frozenset[str] = frozenset()

    def begin(self, parameters: Mapping[str, Array]) -> None:
        """With these as the common model's."""
        self.common = {name: values.astype(np.int64).ravel() for name, values in parameters.items()}
        self.velocity = {name: np.zeros_like(values) for name, values in self.common.items()}
        self.residual = {name: np.zeros_like(values) for name, values in self.common.items()}
        self.biases = frozenset(name for name, values in parameters.items() if values.dtype == np.int32)
        self.number = 0

    def message(self, parameters: Mapping[str, Array]) -> Message:
        """What changed since the last message; the device goes on with the common model (`restored`)."""
        tensors = [self._sparse(name, parameters[name]) for name in self.common]
        found = Message(self.identity, self.number, self.export.bits, tensors)
        self.number += 1
        return found

    def apply(self, message: Message) -> None:
        """The server's changes to the common model.

        Raises:
            MessageError: it is of another model.
        """
        if message.identity != self.identity:
            raise MessageError("it is of another model")
        for (name, old), tensor in zip(self.common.items(), message.tensors, strict=True):
            self.common[name] = saturated(old + tensor.dense(old.size), name in self.biases)

    def restored(self, like: Mapping[str, Array]) -> dict[str, Array]:
        """The common model's parameters, of these shapes and types."""
        return {name: self.common[name].astype(own.dtype).reshape(own.shape) for name, own in like.items()}

    def _sparse(self, name: str, values: Array) -> Sparse:
        change = values.astype(np.int64).ravel() - self.common[name]
        limit = self.export.limit * (BIAS_UNITS if name in self.biases else 1)
        change = clipped(np.clip(change, -LARGEST_CHANGE, LARGEST_CHANGE), limit)
        momentum = towards_zero(self.velocity[name], self.export.momentum, MOMENTUM_BITS)
        velocity = np.clip(momentum + change, -LARGEST_SUM, LARGEST_SUM)
        residual = np.clip(self.residual[name] + velocity, -LARGEST_SUM, LARGEST_SUM)
        indices = largest(residual, self.export.kept(residual.size, self.number))
        sent, exponent = rounded(residual[indices], self.export.bits)
        residual[indices] -= sent << exponent
        velocity[indices] = 0
        self.velocity[name], self.residual[name] = velocity, residual
        return Sparse(indices, sent, exponent)


class Server:
    """Averages what clients send, and keeps what rounding takes of that for the next round."""

    def __init__(self, counts: Sequence[int], identity: int) -> None:
        """Of tensors of so many elements, in the order of the model's trained parameters."""
        self._counts, self._identity, self._number = list(counts), identity, 0
        self._rest = [np.zeros(count, np.int64) for count in counts]

    def aggregate(self, messages: Sequence[bytes]) -> bytes:
        """The message to all clients of one from each of them.

        Raises:
            MessageError: one is damaged, of another model, or there is none.
        """
        if not messages:
            raise MessageError("no client has sent anything")
        found = [Message.unpack(data, self._counts) for data in messages]
        if any(message.identity != self._identity for message in found):
            raise MessageError("it is of another model")
        tensors = list[Sparse]()
        for index, count in enumerate(self._counts):
            total = np.sum([message.tensors[index].dense(count) for message in found], axis=0)
            mean = (2 * total + len(found)) // (2 * len(found))
            whole = np.clip(mean + self._rest[index], -LARGEST_SUM, LARGEST_SUM)
            indices = np.flatnonzero(whole)
            sent, exponent = rounded(whole[indices], SERVER_BITS)
            self._rest[index] = whole.copy()
            self._rest[index][indices] -= sent << exponent
            tensors.append(Sparse(indices, sent, exponent))
        self._number += 1
        return Message(self._identity, self._number - 1, SERVER_BITS, tensors).pack()
