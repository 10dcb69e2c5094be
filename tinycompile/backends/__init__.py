"""`--backend`: what a model's outputs are turned into behind it, as definitions in Python and constants for C."""
