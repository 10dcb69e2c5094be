"""Compiled Jinja2 templates that outlive the process: compiling them is a third of a small model's build."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

import jinja2
from jinja2.bccache import Bucket


class _Cache(jinja2.FileSystemBytecodeCache):
    """One that may be lost: a full disk or a folder that has gone is no reason for a build to fail."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().dump_bytecode(bucket)


@cache
def compiled_templates() -> jinja2.BytecodeCache | None:
    """The cache in a folder of the user's own among the temporary files; None where Jinja2 refuses that folder.

    It does where somebody else could write to it. An entry is tied to the template's text and to Jinja2's and Python's
    versions, so an edited template is compiled anew.
    """
    try:
        return _Cache(pattern="__tinycompile_%s.cache")
    except (RuntimeError, OSError):
        return None
