"""Worlds that come from elsewhere, as tasks; and tasks as environments."""
