"""Gaussian processes as models."""
