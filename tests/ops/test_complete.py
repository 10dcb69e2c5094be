"""The set of operators is complete: every one has its docstring, its tests, and a name that is that of its file."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import pytest

from tinycompile import ops
from tinycompile.frontend.tflite_ops import IMPORTERS
from tinycompile.ops import all_ops

KINDS = sorted(all_ops())


def test_one_operator_per_module():
    modules = {module.name for module in pkgutil.iter_modules(ops.__path__) if not module.name.startswith("_")}
    assert modules == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_operator_has_everything(kind):
    op = all_ops()[kind]
    assert op.__module__ == f"tinycompile.ops.{kind}"
    assert op.__doc__ and not op.__doc__.startswith(f"{op.__name__}("), "the user-facing rule is missing"
    assert (Path(__file__).parent / f"test_{kind}.py").exists()


def test_every_importer_is_named_as_in_the_schema():
    import tflite

    custom = {"TFLite_Detection_PostProcess"}
    named = (hasattr(tflite.BuiltinOperator, name) or name in custom or name.startswith("Signal") for name in IMPORTERS)
    assert all(named)
