"""What the methods that learn from imagined data share."""
