"""What tasks stand on."""
