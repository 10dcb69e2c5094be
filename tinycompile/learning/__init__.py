"""Builds that learn: their generated C trains, on this machine or in QEMU (docs/training_api.md)."""
