"""The values of options, for `options` and for the command line, which starts without importing the compiler."""

from typing import Literal, get_args

IO_CHOICES = ("model", "int8")
DTYPE_CHOICES = ("int8", "float32")
LAYOUT_CHOICES = ("model", "nhwc")
OPTIMIZE_CHOICES = ("speed", "balanced", "size", "ram")
SCHEDULE_CHOICES = ("auto", "layer", "stream", "patch")
RESIZE_CHOICES = ("auto", "area", "nearest", "bilinear")
PIXEL_RANGES = ("0-1", "0-255", "-1-1", "imagenet")
INPUT_STREAM_CHOICES = ("none", "rows")
ALIGN_CHOICES = ("auto", "strict")
WEIGHTS_CHOICES = ("embedded", "separate")
CALIB_METHOD_CHOICES = ("auto", "minmax", "percentile", "mse")
CALIB_EFFORT_CHOICES = ("default", "high")

HARNESS_CHOICES = ("mlperf-tiny",)

AUTO = "auto"
"""Instead of bytes that start-up copies to faster memory: as many as pay."""

Runtime = Literal["litert", "tflm"]
"""Whose bytes a TFLite model's are, where LiteRT and TensorFlow Lite for Microcontrollers compute different ones."""

MATCH_CHOICES: tuple[Runtime, ...] = get_args(Runtime)

Loss = Literal["cross_entropy", "squared_error"]
"""What a training step learns by."""

LOSS_CHOICES: tuple[Loss, ...] = get_args(Loss)
