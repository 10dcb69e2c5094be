"""`make strict`: every kernel that a test computes, with `--align strict`, where an unaligned load or store is a fault.

The tests of kernels and operators are run for the nodes that they make; these go to QEMU in batches, with tensors at
aligned and odd addresses. A line per batch; the exit code is 1 if a kernel fails. Arguments go to pytest.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from tests.support import emulated_kernel, kernel_checks
from tinycompile.ir import Site
from tinycompile.kernels.base import Factory, Kernel
from tinycompile.targets import Core

FOLDERS = ("tests/kernels", "tests/ops")
BATCH = 40
LARGEST_BYTES = 64 * 1024
"""Of a node's tensors: the emulated board holds a batch of them."""


class Recorder:
    """Takes the place of what checks kernels, before the tests import it."""

    def __init__(self) -> None:
        self.cases = dict[Core, dict[str, tuple[Factory, Site]]]()

    def check(self, factory: Factory, site: Site, isa: Core = kernel_checks.M7, seed: int = 0) -> Kernel:
        kernel = factory(site, isa)
        if kernel is None:
            raise AssertionError("the factory doesn't take this node")
        self._add(kernel, factory, site, isa)
        return kernel

    def check_emulated(
        self, cases: list[tuple[Factory, Site]], target: str = "mps2-an500", *_: str, **options: Any
    ) -> None:
        if "operands_of" in options:  # any others make no sense; test_strict_alignment.py has these
            return
        isa = options.get("isa") or emulated_kernel.load_board(target).core
        for factory, site in cases:
            self.check(factory, site, isa)

    def _add(self, kernel: Kernel, factory: Factory, site: Site, isa: Core) -> None:
        size = sum(t.bytes for t in (*site.sig.inputs, site.sig.output)) + kernel.constant_bytes
        if kernel.function is None or size > LARGEST_BYTES:
            return
        texts = (kernel.function, *site.sig.inputs, *(c.values.tobytes() for c in kernel.constants))
        digest = hashlib.sha256("\0".join(map(repr, texts)).encode()).hexdigest()
        self.cases.setdefault(isa, {}).setdefault(digest, (factory, site))


def core_of(isa: Core) -> tuple[str, tuple[str, ...] | None]:
    """The emulated board that runs this core's code, and the compiler's flags if not its own."""
    if isa.has("mve"):
        return "mps3-an547", None
    if not isa.has("thumb2"):
        return "mps2-an385", ("-mcpu=cortex-m0plus", "-mthumb")
    if isa.has("dsp") and not isa.has("fpu"):
        return "mps2-an386", ("-mcpu=cortex-m4+nofp", "-mthumb", "-mfloat-abi=soft")
    if not isa.has("dsp") and isa.arch != "host":
        return "mps2-an385", None
    return "mps2-an500" if isa.pipeline == "m7" else "mps2-an386", None


def batches(cases: list[tuple[Factory, Site]]) -> Iterator[list[tuple[Factory, Site]]]:
    left = iter(cases)
    while batch := list(islice(left, BATCH)):
        yield batch


def main(arguments: list[str]) -> int:
    recorder = Recorder()
    check_emulated = emulated_kernel.check_emulated
    kernel_checks.check = recorder.check
    emulated_kernel.check_emulated = recorder.check_emulated  # pyright: ignore[reportAttributeAccessIssue]
    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *(arguments or FOLDERS)])
    failed = total = 0
    for isa, cases in recorder.cases.items():
        target, core = core_of(isa)
        for batch in batches(list(cases.values())):
            try:
                check_emulated(batch, target, isa=isa, core=core, strict=True)
                result = "ok"
            except AssertionError as error:
                failed += 1
                result = f"FAILED\n{str(error)[-2000:]}"
            total += len(batch)
            print(f"{isa.name} on {target}: {len(batch)} kernels {result}", flush=True)
    print(f"{total} kernels, {failed} batches failed")
    return 1 if failed or not total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
