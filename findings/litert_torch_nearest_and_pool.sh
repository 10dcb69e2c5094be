#!/usr/bin/env bash
# litert-torch 0.10.0: two layers become the TFLite operator that looks like them and computes something else.
#
# 1. interpolate(mode="nearest"). For output i of `new` from `old` pixels PyTorch takes floor(i * old / new), the pixel at the
#    left edge of i's place, which RESIZE_NEAREST_NEIGHBOR has, too (half_pixel_centers false).
#    Seen: the file takes floor((i + 1/2) * old / new), the pixel in the middle of i's place; in PyTorch that is another mode,
#    "nearest-exact". When a size grows by a whole number both are the same, so the usual doubling hides it; otherwise a
#    feature map is shifted by about half of an output pixel.
# 2. MaxPool2d(3, stride=1, padding=(1, 0)) pads above and below, not at the sides: of 4 x 4 it makes 4 x 2. TFLite's pools pad
#    both axes (SAME) or none (VALID), so one would expect a PADV2 in front, or a refusal.
#    Seen: a pool with SAME, which makes 4 x 4, and beside it 4 x 2 as the output's stored shape. LiteRT computes shapes anew:
#    with two channels it returns another shape than the file says, with one a RESHAPE behind the pool refuses when tensors are
#    allocated. Whoever believes the stored shape reads rows of the wrong width.
#
# Output seen (torch 2.13.0, ai-edge-litert 2.3.0):
#   10 pixels to 20: PyTorch [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
#                    LiteRT  [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
#   10 pixels to 13: PyTorch [0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9]
#                    LiteRT  [0, 1, 1, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9]
#   10 pixels to  5: PyTorch [0, 2, 4, 6, 8]
#                    LiteRT  [1, 3, 5, 7, 9]
#   max pool, padding (1, 1), 2 channels: PyTorch (4, 4), file (4, 4), LiteRT (4, 4)
#   max pool, padding (1, 0), 2 channels: PyTorch (4, 2), file (4, 2), LiteRT (4, 4)
#   max pool, padding (1, 0), 1 channels: PyTorch (4, 2), file (4, 2), LiteRT refused
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
packages=(torch==2.13.0 litert-torch==0.10.0 ai-edge-litert==2.3.0 numpy==2.4.6)
"$folder/venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$folder/venv/bin/python" - "$folder/layer.tflite" 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import contextlib
import sys

import litert_torch
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType


class Resize(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, x, mode="nearest"):
        return torch.nn.functional.interpolate(x, size=(1, self.width), mode=mode)


def convert(model, x):
    """LiteRT's reference interpreter of the converted model, not allocated yet."""
    with contextlib.redirect_stdout(sys.stderr):
        litert_torch.convert(model.eval(), (x,)).export(sys.argv[1])
    return Interpreter(sys.argv[1], experimental_op_resolver_type=OpResolverType.BUILTIN_REF)


def run(interpreter, x):
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x.numpy())
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def pixels(result):
    return [int(value) for value in result.ravel()]


def nearest(width):
    """Whether the file takes the pixels of "nearest-exact", and whether these are the ones of "nearest"."""
    x, model = torch.arange(10.0).reshape(1, 1, 1, 10), Resize(width)
    wanted, exact, taken = pixels(model(x)), pixels(model(x, "nearest-exact")), pixels(run(convert(model, x), x))
    print(f"10 pixels to {width:2}: PyTorch {wanted}\n                 LiteRT  {taken}")
    return taken == exact, wanted == exact


def pool(padding, channels):
    """Height and width of the result: PyTorch's, the file's, LiteRT's."""
    x, model = torch.arange(16.0 * channels).reshape(1, channels, 4, 4), torch.nn.MaxPool2d(3, stride=1, padding=padding)
    interpreter = convert(model, x)
    wanted, stored = tuple(model(x).shape[2:]), tuple(interpreter.get_output_details()[0]["shape"].tolist()[2:])
    try:
        computed = run(interpreter, x).shape[2:]
    except RuntimeError:
        computed = "refused"
    print(f"max pool, padding {padding}, {channels} channels: PyTorch {wanted}, file {stored}, LiteRT {computed}")
    return wanted, stored, computed


seen = [nearest(20), nearest(13), nearest(5), pool((1, 1), 2), pool((1, 0), 2), pool((1, 0), 1)]
expected = [(True, True), (True, False), (True, False)]
expected += [((4, 4), (4, 4), (4, 4)), ((4, 2), (4, 2), (4, 4)), ((4, 2), (4, 2), "refused")]
raise SystemExit(0 if seen == expected else 1)
PYTHON
