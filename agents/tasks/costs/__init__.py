"""Costs of tasks."""
