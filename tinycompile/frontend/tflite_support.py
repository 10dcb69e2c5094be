"""The types that each TFLite operator is compiled with, and whose kernels define it there.

Measured, not written: `python -m tests.frontend.support_table` imports a small model of each operator with elements of
each type and compares it with LiteRT's kernels. A test does the same.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Oracle = Literal["reference", "default", "tflm", "nobody"]
"""Whose bytes are an operator's: LiteRT's reference kernel; its default kernel, where the reference has none or is off
the real value by more than a step; TFLM's; or nobody's, where no runtime takes the type, and the rule is that of the
types beside it.
"""

ORACLES: dict[Oracle, str] = {
    "reference": "LiteRT reference",
    "default": "LiteRT default",
    "tflm": "TFLM",
    "nobody": "nobody runs it",
}
"""As a reader sees them."""


class Support(NamedTuple):
    """Per type of elements the oracle, or None where the operator isn't compiled.

    Attributes:
        int16: activations; weights are int8 ("16x8").
        other: of bool and of integers without scales, for operators that have nothing else.
    """

    int8: Oracle | None
    int16: Oracle | None
    float32: Oracle | None
    other: Oracle | None = None

    @property
    def oracles(self) -> dict[str, Oracle]:
        """By type, without those that aren't compiled."""
        return {name: oracle for name, oracle in self._asdict().items() if oracle is not None}


SUPPORT: dict[str, Support] = {
    "ABS": Support("reference", "reference", "reference"),
    "ADD": Support("reference", "reference", "reference"),
    "ADD_N": Support(None, None, "reference"),
    "ARG_MAX": Support("reference", None, "reference"),
    "ARG_MIN": Support("reference", None, "reference"),
    "ASSIGN_VARIABLE": Support("reference", "reference", "reference"),
    "ATAN2": Support(None, None, "reference"),
    "AVERAGE_POOL_2D": Support("reference", "reference", "reference"),
    "BATCH_MATMUL": Support("reference", "reference", "reference"),
    "BATCH_TO_SPACE_ND": Support("reference", "reference", "reference"),
    "BIDIRECTIONAL_SEQUENCE_LSTM": Support(None, None, "reference"),
    "BIDIRECTIONAL_SEQUENCE_RNN": Support(None, None, "reference"),
    "BITWISE_XOR": Support("reference", "reference", None),
    "BROADCAST_TO": Support("reference", "reference", "reference"),
    "CALL_ONCE": Support(None, None, None, "reference"),
    "CAST": Support("reference", "reference", "reference"),
    "CEIL": Support(None, None, "default"),
    "CONCATENATION": Support("reference", "reference", "reference"),
    "CONV_2D": Support("reference", "reference", "reference"),
    "CONV_3D": Support(None, None, "reference"),
    "CONV_3D_TRANSPOSE": Support(None, None, "reference"),
    "COS": Support(None, None, "reference"),
    "CUMSUM": Support(None, None, "reference"),
    "DEPTHWISE_CONV_2D": Support("reference", "reference", "reference"),
    "DEPTH_TO_SPACE": Support("reference", "nobody", "reference"),
    "DEQUANTIZE": Support("reference", "reference", "reference"),
    "DILATE": Support("reference", "reference", "reference"),
    "DIV": Support("reference", "reference", "reference"),
    "DYNAMIC_UPDATE_SLICE": Support("reference", "reference", "reference"),
    "ELU": Support("default", None, "default"),
    "EMBEDDING_LOOKUP": Support("reference", "reference", "reference"),
    "EQUAL": Support("reference", None, "reference"),
    "EXP": Support("reference", "reference", "reference"),
    "EXPAND_DIMS": Support("reference", "reference", "reference"),
    "FILL": Support("reference", "reference", "reference"),
    "FLOOR": Support(None, None, "reference"),
    "FLOOR_DIV": Support(None, None, "reference"),
    "FLOOR_MOD": Support(None, None, "reference"),
    "FULLY_CONNECTED": Support("reference", "reference", "reference"),
    "GATHER": Support("reference", "reference", "reference"),
    "GATHER_ND": Support("reference", "reference", "reference"),
    "GELU": Support("reference", "reference", "reference"),
    "GREATER": Support("reference", "reference", "reference"),
    "GREATER_EQUAL": Support("reference", "reference", "reference"),
    "HARD_SWISH": Support("reference", None, "reference"),
    "IF": Support("reference", "reference", "reference"),
    "L2_NORMALIZATION": Support("reference", None, "reference"),
    "L2_POOL_2D": Support(None, None, "reference"),
    "LEAKY_RELU": Support("reference", "reference", "reference"),
    "LESS": Support("reference", "reference", "reference"),
    "LESS_EQUAL": Support("reference", "reference", "reference"),
    "LOCAL_RESPONSE_NORMALIZATION": Support(None, None, "default"),
    "LOG": Support("reference", "reference", "reference"),
    "LOGICAL_AND": Support(None, None, None, "reference"),
    "LOGICAL_NOT": Support(None, None, None, "reference"),
    "LOGICAL_OR": Support(None, None, None, "reference"),
    "LOGISTIC": Support("reference", "reference", "reference"),
    "LOG_SOFTMAX": Support("reference", None, "reference"),
    "MATRIX_DIAG": Support("reference", "reference", "reference"),
    "MATRIX_SET_DIAG": Support("reference", "reference", "reference"),
    "MAXIMUM": Support("reference", "reference", "reference"),
    "MAX_POOL_2D": Support("reference", "reference", "reference"),
    "MEAN": Support("reference", "reference", "reference"),
    "MINIMUM": Support("reference", "reference", "reference"),
    "MIRROR_PAD": Support("reference", "reference", "reference"),
    "MUL": Support("reference", "reference", "reference"),
    "NEG": Support("reference", "reference", "reference"),
    "NON_MAX_SUPPRESSION_V4": Support(None, None, "reference"),
    "NON_MAX_SUPPRESSION_V5": Support(None, None, "reference"),
    "NOT_EQUAL": Support("reference", None, "reference"),
    "ONE_HOT": Support("reference", "nobody", "reference"),
    "PACK": Support("reference", "reference", "reference"),
    "PAD": Support("reference", "reference", "reference"),
    "PADV2": Support("reference", "reference", "reference"),
    "POW": Support(None, None, "reference"),
    "PRELU": Support("reference", None, "reference"),
    "QUANTIZE": Support("reference", "reference", "reference"),
    "READ_VARIABLE": Support("reference", "reference", "reference"),
    "REDUCE_ALL": Support(None, None, None, "reference"),
    "REDUCE_ANY": Support(None, None, None, "reference"),
    "REDUCE_MAX": Support("reference", "reference", "reference"),
    "REDUCE_MIN": Support("reference", "reference", "reference"),
    "REDUCE_PROD": Support("reference", "reference", "reference"),
    "RELU": Support("reference", "reference", "reference"),
    "RELU6": Support("reference", "reference", "reference"),
    "RELU_0_TO_1": Support("reference", "nobody", "reference"),
    "RELU_N1_TO_1": Support("reference", "nobody", "reference"),
    "RESHAPE": Support("reference", "reference", "reference"),
    "RESIZE_BILINEAR": Support("reference", "reference", "reference"),
    "RESIZE_NEAREST_NEIGHBOR": Support("reference", "reference", "reference"),
    "REVERSE_SEQUENCE": Support("nobody", "reference", "reference"),
    "REVERSE_V2": Support("reference", "reference", "reference"),
    "RIGHT_SHIFT": Support("reference", "reference", None),
    "RNN": Support(None, None, "reference"),
    "ROUND": Support(None, None, "default"),
    "RSQRT": Support("reference", "tflm", "reference"),
    "SCATTER_ND": Support("reference", "nobody", "reference"),
    "SEGMENT_SUM": Support(None, None, "default"),
    "SELECT": Support("reference", "reference", "reference"),
    "SELECT_V2": Support("reference", "reference", "reference"),
    "SIGN": Support(None, None, "reference"),
    "SIN": Support(None, None, "reference"),
    "SLICE": Support("reference", "reference", "reference"),
    "SOFTMAX": Support("reference", "reference", "reference"),
    "SPACE_TO_BATCH_ND": Support("reference", "reference", "reference"),
    "SPACE_TO_DEPTH": Support("reference", "nobody", "reference"),
    "SPARSE_TO_DENSE": Support("reference", "nobody", "reference"),
    "SPLIT": Support("reference", "reference", "reference"),
    "SPLIT_V": Support("reference", "reference", "reference"),
    "SQRT": Support("reference", "nobody", "reference"),
    "SQUARE": Support(None, None, "reference"),
    "SQUARED_DIFFERENCE": Support("reference", None, "reference"),
    "SQUEEZE": Support("reference", "reference", "reference"),
    "STRIDED_SLICE": Support("reference", "reference", "reference"),
    "SUB": Support("reference", "reference", "reference"),
    "SUM": Support("default", "default", "reference"),
    "SVDF": Support("reference", None, "reference"),
    "SignalDelay": Support(None, "tflm", None),
    "SignalEnergy": Support(None, "tflm", None),
    "SignalFftAutoScale": Support(None, "tflm", None),
    "SignalFilterBank": Support(None, None, None, "tflm"),
    "SignalFilterBankLog": Support(None, None, None, "tflm"),
    "SignalFilterBankSpectralSubtraction": Support(None, None, None, "tflm"),
    "SignalFilterBankSquareRoot": Support(None, None, None, "tflm"),
    "SignalFramer": Support(None, "tflm", None),
    "SignalIrfft": Support(None, "tflm", "tflm"),
    "SignalOverlapAdd": Support(None, "tflm", "tflm"),
    "SignalPCAN": Support(None, None, None, "tflm"),
    "SignalRfft": Support(None, "tflm", "tflm"),
    "SignalStacker": Support(None, "tflm", None),
    "SignalWindow": Support(None, "tflm", None),
    "TANH": Support("reference", "reference", "reference"),
    "TFLite_Detection_PostProcess": Support("nobody", "nobody", "reference"),
    "TILE": Support("reference", "reference", "reference"),
    "TOPK_V2": Support("reference", "reference", "reference"),
    "TRANSPOSE": Support("reference", "reference", "reference"),
    "TRANSPOSE_CONV": Support("reference", "reference", "reference"),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Support("reference", "tflm", "reference"),
    "UNIDIRECTIONAL_SEQUENCE_RNN": Support(None, None, "reference"),
    "UNPACK": Support("reference", "reference", "reference"),
    "UNSORTED_SEGMENT_MAX": Support(None, None, "reference"),
    "UNSORTED_SEGMENT_MIN": Support(None, None, "reference"),
    "UNSORTED_SEGMENT_PROD": Support(None, None, "reference"),
    "UNSORTED_SEGMENT_SUM": Support(None, None, "reference"),
    "VAR_HANDLE": Support(None, None, None, "reference"),
    "WHILE": Support("reference", "reference", "reference"),
    "ZEROS_LIKE": Support(None, None, None, "reference"),
}
