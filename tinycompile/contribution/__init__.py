"""`--train auto`: which layers are worth their memory (docs/training.md)."""
