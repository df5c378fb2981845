"""Model-predictive control, and the methods that plan."""
