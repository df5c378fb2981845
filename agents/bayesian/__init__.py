"""Bayesian policy search: policies found in a Gaussian process, from a handful of episodes."""
