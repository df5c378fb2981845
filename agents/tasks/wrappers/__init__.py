"""Tasks seen otherwise."""
