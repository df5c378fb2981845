"""A run's numbers for Weights & Biases or trackio, which have one interface.

with Tracker("wandb", project="arm", config={"kl_step": 10.0}) as tracker:
    run(task, "lqr_flm", config, on_iteration=tracker)
"""

import math
from importlib import import_module
from types import TracebackType
from typing import Any, Literal

from agents.interfaces import Iteration
from lqr import InputError


class Tracker:
    """Called with each iteration, it logs its numbers at the environment steps so far."""

    def __init__(self, library: Literal["wandb", "trackio"] = "wandb", **settings: Any):
        """Begins a run by the library's own `init(**settings)`. Raises InputError where the library
        is not installed.
        """
        if library not in ("wandb", "trackio"):
            raise InputError(f"library is {library!r}; expected wandb or trackio")
        try:
            module: Any = import_module(library)
        except ModuleNotFoundError as error:
            raise InputError(
                f"{library} cannot be imported ({error}); expected it installed: pip install {library}"
            ) from None
        self.run = module.init(**settings)

    def __call__(self, iteration: Iteration) -> None:
        """Logs the numbers of an iteration; those that are not finite are left out."""
        found = {"iteration": iteration.number, **iteration.scalars}
        step = int(iteration.scalars.get("env_steps", iteration.number))
        self.run.log({k: v for k, v in found.items() if math.isfinite(v)}, step=step)

    def close(self) -> None:
        """Ends the library's run."""
        self.run.finish()

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
