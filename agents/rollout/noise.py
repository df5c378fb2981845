"""The noise of episodes: in pairs of opposite sign, smooth over the steps, and the same for one
episode after the other as for all side by side.
"""

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..interfaces import Array


class Antithetic(np.random.Generator):
    """A generator whose standard normal draws come in pairs of opposite sign: antithetic variates.

    The second, fourth, ... of the `samples` rows that belong together are the negated ones before
    them; a last one without a partner is drawn by itself. Each row is as normal as ever, but the
    mean over a pair knows no first-order effect of the noise (Hammersley and Morton, A New Monte
    Carlo Technique: Antithetic Variates, 1956). No other draws come in pairs: it is for policies
    that add normal noise to an action, not for planners.
    """

    def __init__(self, rng: np.random.Generator, samples: int):
        """Draws from the generator `rng`, and moves it on."""
        super().__init__(rng.bit_generator)
        self._samples = samples

    def standard_normal(self, size: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Returns draws of the shape `size` (N, ...), N a multiple of the samples."""
        draws = super().standard_normal(size, *args, **kwargs)
        groups = draws.reshape(-1, self._samples, *draws.shape[1:])
        groups[:, 1::2] = -groups[:, : self._samples // 2 * 2 : 2]
        return groups.reshape(draws.shape)


class OneRow(np.random.Generator):
    """A generator that gives episode i of N the normal draws that it has when all run side by side.

    `states`, which the episodes share, holds the generator's state before each draw, and after the
    last. Where something else drew in between, as a random start does, the draws are new ones.
    """

    def __init__(self, rng: np.random.Generator, i: int, N: int, states: list[Any]):
        """Draws from the generator `rng`, and moves it on."""
        super().__init__(rng.bit_generator)
        self._rng, self._i, self._N, self._states, self._drawn = rng, i, N, states, 0

    def restart(self) -> None:
        """Begins the episode, or begins it once more: the first draw comes next."""
        self._drawn = 0

    def standard_normal(self, size: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Returns draws of the shape `size` (1, ...)."""
        states, now = self._states, self.bit_generator.state
        if not states or (self._drawn == 0 and repr(now) != repr(states[-1])):
            states[:] = [now]
        self.bit_generator.state = states[self._drawn]
        draws = self._rng.standard_normal((self._N, *size[1:]), *args, **kwargs)
        self._drawn += 1
        if self._drawn == len(states):
            states.append(self.bit_generator.state)
        self.bit_generator.state = states[-1]
        return draws[self._i : self._i + 1]


def smoothed(draws: Array, steps: float) -> Array:
    """Returns white noise (N, T, du) correlated over so many steps, of the same variance; 0 steps
    leave it as it is.
    """
    if not steps:
        return draws
    gain = np.sqrt((gaussian_filter1d(np.eye(draws.shape[1])[0], steps, mode="wrap") ** 2).sum())
    return gaussian_filter1d(draws, steps, axis=1, mode="wrap") / gain
