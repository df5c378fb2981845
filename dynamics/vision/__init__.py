"""What makes a state of pictures."""
