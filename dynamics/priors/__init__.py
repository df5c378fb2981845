"""The prior global models."""
