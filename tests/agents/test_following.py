"""A learned, nonlinear model follows what it was never taught: references that change with time,
one after another.
"""

import numpy as np
import pytest

from agents.mpc.steps.loop import run_episodes
from agents.mpc.steps.policy import MPC
from agents.planners import CEM, ILQR
from agents.planners.models import LearnedModel
from agents.rollout import rollout
from agents.tasks import make_task
from dynamics import Network
from lqr import WeightedNorm


@pytest.fixture(scope="module")
def learned():
    """The pendulum, and a network that has seen ten episodes of random torques."""
    task, rng = make_task("pendulum"), np.random.default_rng(0)
    model = Network(steps=500)
    model.fit(*run_episodes(task, None, 10, rng).transitions, rng)
    return task, model


@pytest.mark.parametrize("planner", [CEM(60, 6, 3), ILQR(1, 5)], ids=["cem", "ilqr"])
@pytest.mark.parametrize(("size", "rate"), [(0.4, 2.0), (0.4, 3.0), (-0.3, 2.5)])
def test_a_reference_is_followed_and_its_timing_matters(planner, size, rate, learned):
    task, model = learned
    time = task.dt * np.arange(task.horizon + 1)
    reference = np.stack([size * np.sin(rate * time), size * rate * np.cos(rate * time)], -1)
    how = {"steps": task.horizon, "low": task.action_low, "high": task.action_high}
    policy = MPC(
        LearnedModel(model), planner, WeightedNorm([1.0, 0.1], target=reference), 15, **how
    )
    followed = rollout(task, policy, np.zeros(1, int), 1, np.random.default_rng(1)).x[0]

    def error(shift):
        gap = followed[20:-3, 0] - reference[20 + shift : len(reference) - 3 + shift, 0]
        return np.sqrt((gap**2).mean())

    rest = np.sqrt((reference[20:, 0] ** 2).mean())
    assert error(0) < 0.05  # rad
    assert error(0) < 0.2 * rest
    assert error(0) < min(
        error(1), error(-1), error(3), error(-3)
    )  # neither late nor early by a step
