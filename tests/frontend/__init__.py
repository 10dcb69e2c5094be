"""Real and malformed model files."""
