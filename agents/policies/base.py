"""What the policies that are trained here share: Gaussian actions, how they are handed out, and
their limits.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..interfaces import Array
from ..tasks.action_form import HandsOut
from .checks import checked


class GaussianPolicy(HandsOut, ABC):
    """u ~ N(mean(o), cov). A subclass has `mean`, and its own `covariance` where this depends on
    the observation.

    Actions that are handed out by `act` and `predict` keep the limits, and have the shape and the
    type of the environment's, where there is one; the mean and the samples for training have not.
    """

    low: Array  # (du,)
    high: Array  # (du,)
    cov: Array  # (du, du)
    do: int  # numbers of an observation

    @abstractmethod
    def mean(self, o: Array) -> Array:
        """Returns the mean actions (..., du) for observations (..., do)."""

    def covariance(self, o: Array) -> Array:
        """Returns the covariances of the actions (..., du, du) for observations (..., do):
        everywhere the same.
        """
        return np.broadcast_to(self.cov, (*np.shape(o)[:-1], *self.cov.shape))

    def deviations(self, o: Array, rng: np.random.Generator) -> Array:
        """Returns deviations from the mean action (B, du), drawn for observations (B, do)."""
        return rng.standard_normal((*o.shape[:-1], len(self.cov))) @ np.linalg.cholesky(self.cov).T

    def sample(self, o: Array, t: int, rng: np.random.Generator | None) -> Array:
        """Returns actions (B, du); the mean actions where rng is None."""
        mean = self.mean(o)
        return mean if rng is None else mean + self.deviations(o, rng)

    def act(self, observation: Array) -> Array:
        """Returns the mean action (du,), within the limits, for one observation (do,), or of the
        environment's own shape; or (B, du) for (B, do).
        """
        return self.handed_out(np.clip(self.mean(self.checked(observation)), self.low, self.high))

    def reset(self) -> None:
        """Begins an episode, for `act`; a policy without memory has nothing to forget."""

    def predict(
        self,
        observation: Array,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Array, Any]:
        """Returns (action, state) in the form of Stable-Baselines3; without `deterministic` it
        draws an action.
        """
        o = self.checked(observation)
        action = self.mean(o)
        if not deterministic:
            action = action + self.deviations(o, np.random.default_rng())
        return self.handed_out(np.clip(action, self.low, self.high), np.float32), state

    def checked(self, observation: Array) -> Array:
        """Returns an observation (..., do) as an array. Raises InputError for another size, and for
        numbers that are not finite.
        """
        return checked(observation, self.do, "observation")

    @abstractmethod
    def parameters(self) -> dict[str, Array]:
        """Returns all arrays that the mean depends on, by name."""

    @abstractmethod
    def program(self) -> Any:
        """Returns a torch module that maps observations (B, do) to what `act` hands out, for
        `export`.
        """


class Memoryless(GaussianPolicy):
    """A policy whose mean is a function of what it sees now."""

    @abstractmethod
    def torch_mean(self, p: dict[str, Any], o: Any) -> Any:
        """Returns the mean actions (B, du) of raw observations (B, do), as tensors; p are the
        parameters.
        """

    def program(self) -> Any:
        """Returns a torch module that maps observations (B, do) to what `act` hands out, for
        `export`.
        """
        import torch

        from .export import program

        def act(p: dict[str, Any], o: Any) -> Any:
            return torch.clamp(self.torch_mean(p, o), p["low"], p["high"])

        return program(act, self.parameters() | {"low": self.low, "high": self.high})
