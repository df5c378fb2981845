"""Methods that learn from what a learned model imagines."""
