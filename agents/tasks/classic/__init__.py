"""Tasks of a few equations, in NumPy."""
