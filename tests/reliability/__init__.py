"""Promises that are broken on purpose, and seen to be kept: faults, interruptions, damage, other compilers."""
