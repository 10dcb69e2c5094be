"""tinycompile: trained models to bare-metal C for microcontrollers, bit for bit.

`compile()` is the whole product as one call; `Build` is what it returns. Both are imported on first use, so that
`import tinycompile` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycompile.version import __version__

__all__ = ["Build", "Cost", "__version__", "compile", "cost"]

if TYPE_CHECKING:
    from tinycompile.build import Build
    from tinycompile.costing import Cost, cost
    from tinycompile.pipeline import compile


def __getattr__(name: str) -> Any:
    if name == "compile":
        from tinycompile.pipeline import compile as compile_model

        return compile_model
    if name == "Build":
        from tinycompile.build import Build

        return Build
    if name in ("Cost", "cost"):
        from tinycompile import costing

        return getattr(costing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
