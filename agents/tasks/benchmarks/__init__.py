"""The tasks of published benchmarks, with their costs."""
