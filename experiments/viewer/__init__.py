"""Looking at a policy as it acts."""
