"""Run: which task, method, settings and seed; and what is kept of it."""
