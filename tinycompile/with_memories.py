"""An offer of kernels for a board whose memories make the core wait.

They are priced with what they wait for their constants and their code, and kernels join them that bring the constants
to RAM first. Where memories cost nothing, or nobody has said what, the kernels are those of every board.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tinycompile.choices import AUTO
from tinycompile.ir import Graph, Node, Site
from tinycompile.kernels import Offer, copying_kernels_of
from tinycompile.kernels.base import Beaten, Kernel
from tinycompile.kernels.cover import part_nodes
from tinycompile.kernels.fetching import priced_code
from tinycompile.kernels.waiting import stalls_of
from tinycompile.layout import CODE_BYTES, SYSTEM_BYTES
from tinycompile.options import Options
from tinycompile.targets import Board, Core, Memory
from tinycompile.targets.board import Fetch
from tinycompile.targets.memory import ram_choices
from tinycompile.targets.memory_system import MemorySystem
from tinycompile.typical import (
    KEPT_PRICES,
    Priced,
    kernels_of_priced,
    typical_kernels_of,
    typical_site,
    without_values,
)
from tinycompile.work import node_macs

LAYER_CODE_BYTES = 4096
"""Of a layer with weights, about: block functions that are made for its shape."""

LITTLE_FLASH = 256
"""Bytes of flash that are no reason to look at a slower kernel: fewer than a block function has."""

BOUND = 4
"""A layer that waits for a quarter of its time is told what smaller weights would give."""


CYCLES_PER_BYTE = 4.0
"""A byte of RAM that isn't asked for has to save so many cycles of an inference: less than what a byte read once costs
behind a serial flash, more than what lines of on-chip flash cost that the core goes through a few times."""

LEAST_PER_BYTE = 0.5
"""The same while there is more room than can be used: code that is fetched once stays there but for slow flash."""


@dataclass(frozen=True)
class CodePrice:
    """What a byte of a function costs that start-up copies.

    Attributes:
        memory: where to; None where it copies none.
        byte: in cycles of an inference.
    """

    memory: Memory | None = None
    byte: float = 0.0

    @staticmethod
    def of(board: Board, options: Options) -> CodePrice:
        """Where there is room for all that pays."""
        if options.optimize == "ram" or options.fast_code == 0:
            return CodePrice()
        fast = [memory for memory in board.memories if memory.kind != "flash" and not memory.external]
        best = min(fast, key=lambda m: (board.memory_system.fetch(m, 1024).middle, m.kind != "code"), default=None)
        return CodePrice(best, LEAST_PER_BYTE if options.fast_code == AUTO else 0.0)


Known = dict[tuple[Priced, str], list[Kernel]]
"""The kernels of nodes by what they are, and by the memory of their constants."""


@lru_cache(32)
def _known_on(system: MemorySystem, fetch: Fetch | None, in_ram: bool, code: CodePrice) -> Known:
    """Kernels with typical weights that are priced with these memories: a dictionary to look in, and to fill."""
    return {}


class WithMemories:
    """See the module.

    Kernels with typical weights are made once for nodes of the same signature, as `typical_kernels_of` does.

    Args:
        offer: the kernels of each node.
        external: names of nodes whose constants will be in external flash, as far as can be told before planning; None
            where all constants are in RAM that the core needn't wait for.
    """

    def __init__(self, offer: Offer, board: Board, external: frozenset[str] | None, code: CodePrice) -> None:
        self._offer, self._board, self._external, self._code = offer, board, external, code
        self._system, self._ram = board.memory_system, ram_choices(board.memories)
        self._known: Known | None = None
        if offer is typical_kernels_of:
            self._known = _known_on(self._system, board.fetch, external is None, code)

    @staticmethod
    def of(offer: Offer, graph: Graph, board: Board, code: CodePrice, *, in_ram: bool = False) -> Offer:
        """The same offer for a board whose memories cost nothing.

        Args:
            in_ram: all constants will be in RAM that the core needn't wait for.
        """
        if board.memory_system.is_free:
            return offer
        return WithMemories(offer, board, None if in_ram else external_nodes(graph, board), code)

    def __call__(self, site: Site, core: Core) -> list[Kernel]:
        """Raises UnsupportedError."""
        memory = self._memory_of(site.node)
        if self._known is None:
            return self._found(self._offer(site, core), site, core, memory)
        priced = Priced(site, core)
        key = priced, memory.name
        if key not in self._known:
            if len(self._known) >= KEPT_PRICES:
                self._known.clear()
            self._known[key] = list(without_values(lambda: self._typical(priced, memory)))
        return list(self._known[key])

    def _typical(self, priced: Priced, memory: Memory) -> list[Kernel]:
        return self._found(kernels_of_priced(priced), typical_site(priced), priced.core, memory)

    def _found(self, offered: Sequence[Kernel], site: Site, core: Core, memory: Memory) -> list[Kernel]:
        fetches = _Fetches(self._board, self._code, core)
        if self._external is None:
            return [kernel.but(fetches=fetches.of(kernel)) for kernel in offered]
        macs = site.node.op.macs(site.sig)
        plain = [self._priced(kernel, fetches, macs, memory) for kernel in offered]
        if not any(kernel.stalls for kernel in plain):
            return plain
        fastest = min(plain, key=lambda kernel: kernel.price)
        fetch = self._board.fetch
        places = 2 if fetch is not None and memory.name in fetch.memories else 1
        promising = copying_kernels_of(site, core, offered, places, _beaten_by(plain))
        codable = max(kernel.codable for kernel in offered)
        copying = [self._priced(kernel, fetches, macs, memory, codable=codable) for kernel in promising]
        text = _price(fastest)
        better = [k.but(notes={**k.notes, "instead of": text}) for k in worthwhile(copying, plain)]
        return [*plain, *better]

    def _priced(self, kernel: Kernel, fetches: _Fetches, macs: int, memory: Memory, **more: int) -> Kernel:
        """Args:
        more: other fields of the kernel.
        """
        fetched, scratch = fetches.of(kernel), self._scratch_memory(kernel.scratch_bytes)
        stalls = stalls_of(kernel, macs, self._system, memory, scratch)
        if not stalls:
            return kernel.but(stalls=stalls, fetches=fetched, **more)
        notes = {**kernel.notes, "waiting": f"about {stalls:,} cycles with constants in {memory.name}"}
        if macs and BOUND * stalls >= _work(kernel) + fetched + stalls:
            fewer = stalls_of(kernel, macs, self._system, memory, scratch, bits=4)
            notes["with 4-bit weights"] = f"about {fewer:,} cycles of waiting"
        return kernel.but(stalls=stalls, fetches=fetched, notes=notes, **more)

    def _memory_of(self, node: Node) -> Memory:
        external = self._board.external_flash
        names = self._external or ()
        cold = external is not None and any(part.name in names for part in part_nodes(node))
        return external if cold and external is not None else self._board.flash

    def _scratch_memory(self, size: int) -> Memory:
        """The cheapest that has room for it, beside the rest of the firmware."""
        return next((memory for memory in self._ram if memory.bytes - SYSTEM_BYTES >= size), self._ram[-1])


def _price(kernel: Kernel) -> str:
    return f"{kernel.variant}, about {kernel.price:,} cycles with {kernel.stalls:,} of waiting"


class _Fetches:
    """What a node's kernels wait for their code: several have the same functions."""

    def __init__(self, board: Board, code: CodePrice, core: Core) -> None:
        self._board, self._code, self._core = board, code, core
        self._system, self._flash = board.memory_system, board.flash
        self._known: dict[tuple[int, int, int], tuple[Kernel, int]] = {}
        """By the identity of the hot functions, which a kernel beside it keeps."""

    def of(self, kernel: Kernel) -> int:
        """For `Kernel.fetches`."""
        if kernel.function is None:
            return kernel.fetches
        if kernel.hot is None:
            return self._of(kernel)
        place = id(kernel.hot), kernel.code_bytes, kernel.calls
        if place not in self._known:
            self._known[place] = kernel, self._of(kernel)
        return self._known[place][1]

    def _of(self, kernel: Kernel) -> int:
        code = self._code
        return round(priced_code(kernel, self._flash, code.memory, code.byte, self._system, self._core))


Figures = tuple[int, int, int]
"""A price, bytes of scratch, bytes of flash."""


def worthwhile(kernels: Iterable[Kernel], others: Sequence[Kernel]) -> list[Kernel]:
    """Those that cost less than all that take no more RAM and little more flash at the most, `others` included."""
    found, rivals = list[Kernel](), [_figures(kernel) for kernel in others]
    asked = [(kernel, *_figures(kernel)) for kernel in kernels]
    for kernel, price, scratch, flash in sorted(asked, key=lambda k: (k[2], k[1], k[3])):
        most = flash + LITTLE_FLASH
        if all(price < other for other, room, size in rivals if room <= scratch and size < most):
            found.append(kernel)
            rivals.append((price, scratch, flash))
    return found


def _beaten_by(others: Iterable[Kernel]) -> Beaten:
    """Whether `worthwhile` would leave a kernel out even if it never waited, which is said before it is made."""
    rivals = [_figures(kernel) for kernel in others]

    def beaten(work: int, scratch: int, flash: int) -> bool:
        most = flash + LITTLE_FLASH
        return any(price <= work and room <= scratch and size < most for price, room, size in rivals)

    return beaten


def _figures(kernel: Kernel) -> Figures:
    return kernel.price, kernel.scratch_bytes, _flash_bytes(kernel)


def _work(kernel: Kernel) -> int:
    """Its price without any waiting."""
    return kernel.instructions if kernel.cycles is None else kernel.cycles


def _flash_bytes(kernel: Kernel) -> int:
    return kernel.constant_bytes + kernel.code_bytes


def external_nodes(graph: Graph, board: Board) -> frozenset[str]:
    """Names of the nodes whose constants go to external flash, those with the fewest products per byte first.

    Kernels pack constants in forms of their own and have code of their own, so that sizes aren't known before one is
    chosen: about.
    """
    if board.external_flash is None:
        return frozenset()
    sizes = [sum(graph.types[name].bytes for name in node.inputs if name in graph.constants) for node in graph.nodes]
    packed = [size + size // 16 for size in sizes]
    excess = (
        sum(packed) + CODE_BYTES + LAYER_CODE_BYTES * sum(size > LAYER_CODE_BYTES for size in sizes) - board.flash.bytes
    )
    found = set[str]()
    order = sorted(zip(node_macs(graph), packed, graph.nodes, strict=True), key=lambda e: (e[0] / max(1, e[1]), -e[1]))
    for _, size, node in order:
        if excess <= 0:
            break
        found.add(node.name)
        excess -= size
    return frozenset(found)
