"""A contract over every planner in every world: the true simulator, each learned model, and local
models.
"""

import numpy as np
import pytest

from agents.mpc.steps.policy import MPC
from agents.planners import ILQR, PLANNERS, Gradient, Objective
from agents.planners.models import LearnedModel, LocalModel, SimulatorModel
from agents.tasks.base.ode_task import MapTask
from dynamics import Ensemble, GaussianProcess, Network
from lqr import InputError, LinearGaussianDynamics, Quadratic, QuadraticCost, WeightedNorm, backward

T, H = 9, 5
LOW, HIGH = np.array([-2.0, -1.0]), np.array([2.0, 3.0])
A, B = np.array([[1.0, 0.2], [-0.1, 0.95]]), np.array([[0.0, 0.1], [0.3, 0.0]])
COST = Quadratic(np.diag([2.0, 0.5, 0.1, 0.2]))
X0 = np.array([1.0, -0.5])


class Linear(MapTask):
    name, dt, horizon = "linear", 0.1, T
    dx, du, do = 2, 2, 2
    action_low, action_high, cost = LOW, HIGH, COST

    def starts(self, conditions, rng):
        return np.tile(X0, (len(conditions), 1))

    def advance(self, s, u):
        return s @ A.T + u @ B.T

    def states(self, s):
        return s.copy()

    see = states

    def metrics(self, x, u):
        return {}


def local(particles=1):
    """Time-varying models: each step another gain, another drift."""
    rng = np.random.default_rng(3)
    F = np.concatenate([np.tile(A, (T, 1, 1)), rng.uniform(0.3, 1.5, (T, 1, 1)) * B], -1)
    return LocalModel(
        LinearGaussianDynamics(
            F, 0.2 * rng.normal(size=(T, 2)), np.tile(1e-4 * np.eye(2), (T, 1, 1))
        ),
        particles,
    )


@pytest.fixture(scope="module")
def worlds():
    rng = np.random.default_rng(0)
    x, u = rng.uniform(-3, 3, (300, 2)), rng.uniform(LOW, HIGH, (300, 2))
    models = {
        "nn": Network((8,), 100),
        "ensemble": Ensemble(hidden=(8,), steps=100),
        "gp": GaussianProcess(iterations=5),
    }
    for model in models.values():
        model.fit(x, u, x @ A.T + u @ B.T + 0.01 * rng.normal(size=(300, 2)), rng)
    found = {word: LearnedModel(model) for word, model in models.items()}
    found |= {
        word: LearnedModel(models["ensemble"], word, 5) for word in ("ts1", "tsinf", "moment")
    }
    found |= {"sample": LearnedModel(models["gp"], "sample", 3)}
    return found | {
        "simulator": SimulatorModel(Linear()),
        "local": local(),
        "local_noise": local(4),
    }


WORLDS = [
    "nn",
    "ensemble",
    "gp",
    "ts1",
    "tsinf",
    "moment",
    "sample",
    "simulator",
    "local",
    "local_noise",
]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("word", PLANNERS)
def test_every_planner_plans_in_every_world(word, world, worlds):
    if word == "cma":
        pytest.importorskip("cmaes")
    policy = MPC(worlds[world], PLANNERS[word](), COST, H, steps=T, low=LOW, high=HIGH)
    plan = policy.plan(X0, 3, np.zeros((0, H, 2)), np.random.default_rng(0))
    assert plan.U.shape == (H, 2)
    assert (plan.U >= LOW).all()
    assert (plan.U <= HIGH).all()
    assert policy.calls > 0
    price = Objective(worlds[world], COST, X0, 3, H, T, np.random.default_rng(1))
    at_random = np.random.default_rng(2).uniform(LOW, HIGH, size=(200, H, 2))
    assert price(plan.U[None])[0] < np.percentile(price(at_random), 10)
    late = policy.plan(
        X0, T - 2, np.zeros((0, H, 2)), np.random.default_rng(0)
    )  # two steps before the end
    assert late.U.shape == (H, 2)


def test_local_models_step_and_bend_as_they_roll_from_any_step():
    world, rng = local(), np.random.default_rng(0)
    U = rng.uniform(LOW, HIGH, size=(4, H, 2))
    X = world.roll(X0, U, 3, rng)[:, 0]
    for i in range(H):
        np.testing.assert_allclose(world.step(X[:, i], U[:, i], 3 + i), X[:, i + 1])
    J = world.jacobian(X[:, :-1], U, 3)
    assert J.shape == (4, H, 2, 4)
    move = rng.normal(size=(4, H, 4))
    for i in range(H):
        there = world.step(X[:, i] + move[:, i, :2], U[:, i] + move[:, i, 2:], 3 + i)
        np.testing.assert_allclose(there - X[:, i + 1], (J[:, i] @ move[:, i, :, None])[..., 0])
    for t in (-1, T):
        with pytest.raises(InputError, match=f"local models of {T}"):
            world.step(X0, U[0, 0], t)


@pytest.mark.parametrize(
    "planner", [ILQR(1, 5), Gradient(1, 600, rate=0.3, search_samples=0)], ids=["ilqr", "gradient"]
)
@pytest.mark.parametrize("t", [0, 3])
def test_in_local_models_the_plan_is_that_of_the_riccati_recursion(planner, t):
    """From any step of the episode, with a cost whose target moves, and limits that are not
    touched.
    """
    world, low = local(), np.full(2, -50.0)
    target = np.random.default_rng(1).normal(size=(T + 1, 2))
    cost = WeightedNorm([2.0, 0.5], target=target) + Quadratic(np.diag([0.0, 0.0, 1.0, 2.0]))
    policy = MPC(world, planner, cost, H, steps=T, low=low, high=-low)
    plan = policy.plan(X0, t, np.zeros((0, H, 2)), np.random.default_rng(0))
    C = np.tile(np.diag([2.0, 0.5, 1.0, 2.0]), (H + 1, 1, 1))
    C[H, 2:, 2:] = 0.0
    c = np.zeros((H + 1, 4))
    c[:, :2] = -np.array([2.0, 0.5]) * target[t : t + H + 1]
    window = LinearGaussianDynamics(*(a[t : t + H] for a in world.dynamics))
    controller, _ = backward(window, QuadraticCost(C, c, np.zeros(H + 1)))
    x = X0
    for i in range(H):
        u = controller.K[i] @ x + controller.k[i]
        np.testing.assert_allclose(plan.U[i], u, atol=1e-5 if isinstance(planner, ILQR) else 2e-2)
        x = window.F[i] @ np.r_[x, u] + window.f[i]
