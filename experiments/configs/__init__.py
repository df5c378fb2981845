"""The experiments: a task, a method, a config."""
