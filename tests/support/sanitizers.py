"""The compiler's flags for code of which the tests look at its errors more than its speed."""

from __future__ import annotations

from pathlib import Path

from tests.support.full import FULL

REPORTING = ("-O1", "-fno-sanitize-recover=all", "-g")
"""Text for each error, and warnings that follow values through the code."""

UNOPTIMIZED = ("-O0", "-include", str(Path(__file__).with_name("not_inlined.h")))
"""A third less of the compiler's time than with kernels' functions at each of their calls."""

TRAPPING = (*UNOPTIMIZED, "-fsanitize-undefined-trap-on-error", "--param=asan-instrumentation-with-call-threshold=0")
"""The same checks in a fifth of the compiler's time, for the largest kernels in a hundredth: optimising what sanitizers
add, calls with a text for each check and the inlined ones of addresses are most of it."""

LEVEL = REPORTING if FULL else TRAPPING
EVERYTHING = (*LEVEL, "-fsanitize=address,undefined")
UNDEFINED = (*LEVEL, "-fsanitize=undefined")
"""For libraries that Python loads, which address sanitizers can't be; what they find ends the process."""
REPORT = (*REPORTING, "-fsanitize=address,undefined")
