"""Exact arithmetic: TFLite's fixed-point primitives, requantisation rules and their strength reduction."""
