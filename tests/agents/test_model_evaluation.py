"""What a model expected beside what came: exact where the model is, wrong by as much as it is
wrong.
"""

import numpy as np
import pytest

from agents.mpc.steps import model_evaluation
from agents.mpc.steps.model_evaluation import evaluate, oracle, predicted_cost, traced
from agents.mpc.steps.policy import MPC
from agents.planners import CEM, RandomShooting
from agents.planners.models import LearnedModel, LocalModel, SimulatorModel
from agents.rollout import rollout
from agents.tasks.base.ode_task import MapTask
from dynamics import Ensemble, Network
from lqr import InputError, LinearGaussianDynamics, Quadratic

A, B, NOISE = np.array([[1.0, 0.2], [-0.3, 0.9]]), np.array([[0.0], [0.3]]), 0.05


class Noisy(MapTask):
    """A linear world with noise of known size."""

    name, dt, horizon = "noisy", 0.1, 30
    dx, du, do = 2, 1, 2
    action_low, action_high = np.array([-2.0]), np.array([2.0])
    cost = Quadratic(np.diag([2.0, 0.5, 0.1]))
    noise = NOISE

    def __init__(self, conditions=1):
        super().__init__(conditions)
        self.rng = np.random.default_rng(0)

    def starts(self, conditions, rng):
        return rng.normal(size=(len(conditions), 2))

    def advance(self, s, u):
        return s @ A.T + u @ B.T + self.noise * self.rng.standard_normal(s.shape)

    def states(self, s):
        return s.copy()

    see = states

    def metrics(self, x, u):
        return {}


def mpc(task, world, planner, horizon=8):
    return MPC(
        world,
        planner,
        task.cost,
        horizon,
        steps=task.horizon,
        low=task.action_low,
        high=task.action_high,
    )


def episodes(task, count=1, seed=0):
    rng = np.random.default_rng(seed)

    class Wild:
        input = "x"

        def sample(self, o, t, _):
            return rng.uniform(-2, 2, size=(len(o), 1))

    return rollout(task, Wild(), np.zeros(1, int), count, rng)


def local(noise):
    T = Noisy.horizon
    F = np.tile(np.hstack([A, B]), (T, 1, 1))
    return LocalModel(
        LinearGaussianDynamics(F, np.zeros((T, 2)), np.tile(noise**2 * np.eye(2), (T, 1, 1))), 400
    )


def test_without_noise_the_predicted_cost_of_the_true_world_is_what_comes():
    task = Noisy()
    task.noise = 0.0
    got = episodes(task)
    found = predicted_cost(
        SimulatorModel(task), task.cost, got.x[0], got.u[0], 30, 8, np.random.default_rng(0)
    )
    assert found.start[0] == 0
    assert found.start[-1] == 22
    np.testing.assert_allclose(found.drawn[:, 0], found.real, atol=1e-12)
    state = 0.5 * np.einsum("ti,ij,tj->t", got.x[0], np.diag([2.0, 0.5]), got.x[0])
    action = np.r_[0.5 * 0.1 * got.u[0, :, 0] ** 2, 0.0]
    for s, t in enumerate(found.start):
        ends = (
            state[t : t + 9] + np.r_[action[t : t + 8], 0.0]
        )  # at the horizon's end there is no action
        np.testing.assert_allclose(found.real[s], np.cumsum(ends))


def test_a_model_that_knows_the_noise_covers_what_comes_and_one_that_is_too_sure_does_not():
    task = Noisy()
    inside = []
    for noise in (NOISE, 0.1 * NOISE):
        hits = []
        for seed in range(10):
            got = episodes(task, seed=seed)
            found = predicted_cost(
                local(noise), task.cost, got.x[0], got.u[0], 30, 8, np.random.default_rng(0)
            )
            low, high = np.quantile(found.drawn[..., -1], [0.05, 0.95], axis=1)
            hits.append(((low <= found.real[:, -1]) & (found.real[:, -1] <= high)).mean())
        inside.append(np.mean(hits))
    assert inside[0] == pytest.approx(0.9, abs=0.08)
    assert inside[1] < 0.4


def test_the_evaluation_tells_the_error_at_the_horizons_end_and_what_the_figures_need():
    task, rng = Noisy(), np.random.default_rng(0)
    seen = episodes(task, 20, seed=1)
    model = Ensemble(hidden=(8,), steps=100)
    assert (
        model_evaluation.snapshot(LearnedModel(model, "tsinf", 5)) is None
    )  # it knows nothing yet
    model.fit(*seen.transitions, rng)
    world = model_evaluation.snapshot(LearnedModel(model, "mean", 1))
    assert world.particles == 20
    policy = mpc(task, LearnedModel(model), CEM(20, 4, 3))
    new = rollout(task, policy, np.zeros(1, int), 2, rng)
    state = rng.bit_generator.state
    found = evaluate(world, policy, task, new, np.random.default_rng(5))
    assert rng.bit_generator.state == state
    assert 0.0 <= found.coverage <= 1.0
    assert found.arrays["open_loop"].shape == (2, 8)
    ratio = found.arrays["open_loop"][0, -1] / found.arrays["open_loop"][1, -1]
    assert found.open_loop_error == pytest.approx(ratio)
    assert found.arrays["predicted_cost_drawn"].shape[1:] == (20, 9)
    assert found.arrays["plan_trace"].shape == (30, 3, 2)
    model.fit(
        *episodes(task, 20, seed=2).transitions, rng
    )  # what was copied before stays as it was
    again = evaluate(world, policy, task, new, np.random.default_rng(5))
    assert again[:2] == found[:2]


def test_a_trace_has_the_cheapest_and_the_mean_of_what_was_evaluated():
    seen = []

    def objective(U):
        seen.append(np.where(U[:, 0, 0] > 0.8, np.nan, (U**2).sum((1, 2))))
        return seen[-1]

    plan = CEM(30, 5, 4)(
        objective, np.zeros((0, 3, 1)), -np.ones(1), np.ones(1), np.random.default_rng(0)
    )
    short = RandomShooting(10)(
        objective, np.zeros((0, 3, 1)), -np.ones(1), np.ones(1), np.random.default_rng(0)
    )
    found = traced([plan, short])
    assert found.shape == (2, 4, 2)
    np.testing.assert_allclose(found[0], [[np.nanmin(c), np.nanmean(c)] for c in seen[:4]])
    np.testing.assert_allclose(found[1, 0], [np.nanmin(seen[4]), np.nanmean(seen[4])])
    assert np.isnan(found[1, 1:]).all()


def test_the_oracle_is_the_planners_own_cost_in_the_true_physics():
    task, rng = Noisy(), np.random.default_rng(0)
    task.noise = 0.0
    wrong = Network((4,), 10)
    x, u = rng.normal(size=(30, 2)), rng.normal(size=(30, 1))
    wrong.fit(x, u, x + rng.normal(size=x.shape), rng)
    policy = mpc(task, LearnedModel(wrong), CEM(20, 4, 2), 10)
    found = oracle(task, policy, np.random.default_rng(0), 10**7)
    assert found.true < 0.9 * found.learned
    true = oracle(
        task, mpc(task, SimulatorModel(task), CEM(20, 4, 2), 10), np.random.default_rng(0), 10**7
    )
    assert true.learned == true.true == found.true
    with pytest.raises(InputError, match=r"would take \d+ steps of it; expected at most 1000"):
        oracle(task, policy, np.random.default_rng(0), 1000)
