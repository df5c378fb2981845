"""A task around another one: what it does not say itself, the other says."""

from typing import Any


class Wrapper:
    """Passes on whatever a subclass does not define to `task`."""

    def __init__(self, task: Any):
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "task"), name)
