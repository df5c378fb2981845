"""Methods, tasks and priors against each other."""
