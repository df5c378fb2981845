"""What the methods share: the steps of an iteration."""
