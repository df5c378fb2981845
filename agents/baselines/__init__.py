"""Learners without a model, to compare with."""
