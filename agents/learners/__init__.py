"""Reinforcement learners that others build on."""
