"""The arithmetics in which operators compute, a module each: TFLite's and ONNX's of 8-bit integers, and float32.

An operator names them in `meanings` (`ops/_typed.py`); here is what operators share of each.
"""
