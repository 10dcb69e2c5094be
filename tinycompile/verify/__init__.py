"""Comparison of the firmware with the framework that defines the model's meaning."""
