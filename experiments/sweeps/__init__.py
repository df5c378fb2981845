"""Several seeds side by side."""
