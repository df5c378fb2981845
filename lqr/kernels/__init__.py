"""What makes it fast: compiled passes; nobody reads these first."""
