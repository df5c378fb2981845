"""Neural networks as models."""
