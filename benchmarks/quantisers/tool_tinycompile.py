"""Our own quantiser: `tinycompile quantize`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import Net, run


def quantise(net: Net, setting: str, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "calib.npz"
        np.savez(samples, x=net.calibration)
        arguments = [
            "quantize",
            str(net.model),
            "--calib",
            str(samples),
            "-o",
            str(path),
            "--calib-method",
            setting,
            "--force",
        ]
        subprocess.run([sys.executable, "-m", "tinycompile", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(run("tinycompile", {"minmax": "minmax", "auto": "auto"}, quantise))
