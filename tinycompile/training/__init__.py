"""On-device training: from a model to the graph of a training step (docs/training.md)."""
