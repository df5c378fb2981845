"""What the methods of many tasks share."""
