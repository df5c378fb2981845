"""A window of a cost says, of the steps that it holds, what the whole cost says."""

import numpy as np
import pytest

from lqr import (
    Action,
    ActionLimits,
    InputError,
    Lorentzian,
    Quadratic,
    StateLimits,
    WeightedNorm,
    window,
)

T, DX, DU = 9, 3, 2
rng = np.random.default_rng(0)
C = rng.normal(size=(T + 1, DX + DU, DX + DU))
COSTS = {
    "quadratic": Quadratic(
        C, rng.normal(size=(T + 1, DX + DU)), rng.normal(size=T + 1), ramp="quadratic"
    ),
    "state": Quadratic(np.eye(DX), np.ones(DX), ramp=np.r_[np.ones(T), 0.0]),
    "norm": WeightedNorm(np.ones(DX), l1=1.0, target=rng.normal(size=(T + 1, DX)), ramp="linear"),
    "lorentzian": Lorentzian(np.ones(DX), target=1.0, ramp="final"),
    "action": Action(0.3, target=rng.normal(size=(T, DU))),
    "limits": StateLimits(-np.ones(DX), np.ones(DX), ramp="linear"),
    "action_limits": ActionLimits(-np.ones(DU), np.ones(DU), weight=rng.uniform(size=(T, 1))),
}
COSTS["sum"] = COSTS["norm"] + COSTS["action"] + COSTS["quadratic"]


class Own:
    """A cost that is no term of `lqr.costs`."""

    def __call__(self, X, U):
        return COSTS["norm"](X, U)

    def expand(self, X, U):
        return COSTS["norm"].expand(X, U)


COSTS["own"] = Own()


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize(("t", "count"), [(0, T), (0, 4), (3, 4), (5, 4), (8, 1)])
def test_values_and_expansion_are_those_of_the_whole_episode(name, t, count):
    X, U = rng.normal(size=(6, T + 1, DX)), rng.normal(size=(6, T, DU))
    part = window(COSTS[name], t, count, T)
    x, u = X[:, t : t + count + 1], U[:, t : t + count]
    steps = slice(t, t + count + (t + count == T))  # at a window's end there is no action
    np.testing.assert_allclose(
        part(x, u)[:, : count + (t + count == T)], COSTS[name](X, U)[:, steps], atol=1e-12
    )
    found, whole = part.expand(x, u), COSTS[name].expand(X, U)
    for a, b in zip(found, whole, strict=True):
        np.testing.assert_allclose(a[:, : count + (t + count == T)], b[:, steps], atol=1e-12)


def test_a_window_beyond_the_episode_is_refused():
    for t, count in ((0, T + 1), (5, 5), (-1, 3), (2, 0)):
        with pytest.raises(InputError, match=r"within 0 to 9|whole number"):
            window(COSTS["norm"], t, count, T)
