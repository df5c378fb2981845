"""A world that is fitted anew every so many steps, and what the last fit told."""

from typing import Any

from ...learners.off_policy import OffPolicy
from .world import ImaginedWorld


class ModelFits:
    """`prepare` comes after each step; `model_error` is that of the last fit on what was new."""

    def __init__(self, world: ImaginedWorld):
        self.world, self.model_error = world, 0.0

    def prepare(self, run: OffPolicy) -> None:
        """Fits the model when it is time to."""
        after = run.env_steps - run.c.warm_up
        if run.offline or after % self.world.c.fit_every == 0:
            self.model_error = self.world.fit(run.buffer, run.rng)

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        return {"world": self.world.state(), "model_error": self.model_error}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned."""
        self.world.load_state(state["world"])
        self.model_error = state["model_error"]
