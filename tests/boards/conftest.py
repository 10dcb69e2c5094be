"""A build that is talked to."""

from __future__ import annotations

import pytest

import tinycompile
from tests.conftest import DIGITS
from tinycompile.build import Build
from tinycompile.toolchain import make


@pytest.fixture(scope="session")
def talking_build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """For a board that QEMU has, with every firmware that has a UART."""
    folder = tmp_path_factory.mktemp("talking") / "out"
    build = tinycompile.compile(DIGITS / "digits_int8.tflite", "mps2-an386", output=folder, harness="mlperf-tiny")
    make(folder, "console")
    return build
