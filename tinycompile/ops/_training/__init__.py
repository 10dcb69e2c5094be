"""Operators of a training step, which no file has: gradients, masks, losses, updates (docs/training.md).

They are made by the gradient rules (`Differentiable.vjp`) of the operators of `ops`, and by `tinycompile.training`.
Planner and kernels treat them like any other; the list of what can be imported doesn't have them.
"""
