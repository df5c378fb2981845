"""Many tasks, one policy: teachers for each of them, and what they have in common."""
