"""Layers measured instead of estimated."""
