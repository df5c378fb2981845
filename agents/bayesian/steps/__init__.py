"""What the methods of Bayesian policy search share."""
