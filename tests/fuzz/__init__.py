"""Hostile model files, made by mutation, through the whole compiler."""
