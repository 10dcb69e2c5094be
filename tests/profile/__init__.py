"""Counts, mixes and cycle estimates."""
