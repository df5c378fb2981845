"""A model that is fitted anew every so many steps, and what the last fit told."""

from typing import Any

from ...learners.off_policy import OffPolicy
from .environment_model import EnvironmentModel


class ModelFits:
    """`prepare` comes after each step; `model_error` is that of the last fit on what was new."""

    def __init__(self, env_model: EnvironmentModel):
        self.env_model, self.model_error = env_model, 0.0

    def prepare(self, run: OffPolicy) -> None:
        """Fits the model when it is time to."""
        after = run.env_steps - run.c.warm_up
        if run.offline or after % self.env_model.c.fit_every == 0:
            self.model_error = self.env_model.fit(run.buffer, run.rng)

    def state(self) -> dict[str, Any]:
        """Returns all that `load_state` needs."""
        return {"env_model": self.env_model.state(), "model_error": self.model_error}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` returned."""
        self.env_model.load_state(state["env_model"])
        self.model_error = state["model_error"]
