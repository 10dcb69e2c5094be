"""Bits for each layer's weights: chosen under a budget of bytes and instructions by what they do to the outputs."""
