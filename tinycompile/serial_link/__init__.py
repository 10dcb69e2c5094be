"""Talking to a board's console firmware over a serial port: frames, requests, and what the model computes there."""
