"""Worlds from elsewhere: one robot at a time, rewards of the episode, ends that are ends, limits
that are none, and messages that name the culprit.
"""

from typing import ClassVar

import gymnasium
import numpy as np
import pytest

from agents.policies import make_policy
from agents.rollout import metrics_of, rollout, run
from agents.tasks.action_limits import resting
from agents.tasks.adapters.gymnasium_env import TaskEnv
from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from agents.tasks.adapters.user_task import OwnTask
from agents.tasks.base.mujoco_batch import MujocoBatch
from agents.tasks.capabilities import ObservationOf, capability
from gps.steps.initial_controllers import zero_controllers
from lqr import InputError, LinearGaussianController, QuadraticCost, SimulationError
from lqr.costs import Action, WeightedNorm


class Cart:
    """One cart [place, speed] in the world, whoever drives it."""

    world: ClassVar[dict] = {}

    def reset(self, condition, rng):
        self.world["x"] = np.array([1.0 + condition, 0.0])
        return self.world["x"]

    def step(self, u):
        place, speed = self.world["x"]
        self.world["x"] = np.array([place + 0.1 * speed, speed + 0.1 * u[0]])
        return self.world["x"]


class Apart(Cart):
    """A cart for each episode."""

    independent = True

    def __init__(self):
        self.world = {}


def cart(make, low=-1, high=1, **more):
    cost = WeightedNorm([1.0, 0.1], l2=1.0, target=[0.0, 0.0]) + Action(0.1)
    return OwnTask(
        make, cost, action_low=[low], action_high=[high], horizon=8, conditions=2, **more
    )


def controllers(task):
    rng = np.random.default_rng(1)
    K = rng.normal(size=(2, 8, 1, 2))
    return LinearGaussianController(K, rng.normal(size=(2, 8, 1)), np.full((2, 8, 1, 1), 0.04))


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("kind", ["controllers", "mlp", "recurrent"])
def test_one_robot_has_the_numbers_of_several_side_by_side(kind, antithetic):
    found, after = [], []
    for make in (Cart, Apart):
        task, rng = cart(make), np.random.default_rng(0)
        if kind == "controllers":
            actor = controllers(task)
        else:
            std = np.full(1, 0.3)
            actor = make_policy(kind, task, (8,), std, np.random.default_rng(2))
        found.append(rollout(task, actor, np.arange(2), 3, rng, antithetic=antithetic))
        after.append(rng.normal())
    assert found[0].x.std(0).max() > 0.01
    for one, many in zip(*found, strict=True):
        np.testing.assert_allclose(one, many, rtol=1e-13, atol=1e-15)
    assert after[0] == after[1]


def test_one_robot_cannot_be_stepped_as_if_there_were_two():
    task = cart(Cart)
    task.reset(np.arange(2), np.random.default_rng(0))
    with pytest.raises(InputError, match="got 2 episodes at once of one robot"):
        task.step(np.zeros((2, 1)))


class Clock(Cart):
    """Pays 1, 2, 3 ... whatever happens; it does not move, so (x, u) repeat."""

    reward = 0.0

    def reset(self, condition, rng):
        self.reward = 0.0
        return np.zeros(1)

    def step(self, u):
        self.reward += 1.0
        return np.zeros(1)


@pytest.mark.parametrize("independent", [False, True])
def test_the_return_is_what_was_paid(monkeypatch, independent):
    monkeypatch.setattr(Clock, "independent", independent, raising=False)
    task = OwnTask(Clock, action_low=[-1], action_high=[1], horizon=10)
    shown = run(
        task, lambda x, o, t: np.zeros((len(x), 1)), np.zeros(3, int), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(shown.costs, np.full(3, -55.0))
    np.testing.assert_array_equal(metrics_of(task, shown)["return"], np.full(3, 55.0))


@pytest.mark.parametrize("said", [None, "much", np.array([1.0, 2.0])])
def test_a_reward_that_is_no_number_is_named(monkeypatch, said):
    def step(self, u):
        self.reward = said
        return np.zeros(1)

    monkeypatch.setattr(Clock, "step", step)
    task = OwnTask(Clock, action_low=[-1], action_high=[1], horizon=3)
    task.reset(np.zeros(1, int), np.random.default_rng(0))
    with pytest.raises(InputError, match="the reward of own after a step is"):
        task.step(np.zeros((1, 1)))


def test_a_time_limit_below_the_horizon_is_lifted():
    task = GymnasiumTask(lambda: gymnasium.make("Pendulum-v1"), horizon=230)
    shown = run(task, lambda x, o, t: np.zeros((1, 1)), np.zeros(1, int), np.random.default_rng(0))
    assert shown.length.tolist() == [230]
    assert (np.abs(np.diff(shown.x[0], axis=0)).max(1) > 0).all()


class Cut(gymnasium.Env):
    """Cuts its episodes short after 5 steps, by itself."""

    action_space = gymnasium.spaces.Box(-1, 1, (1,))
    observation_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.zeros(1, np.float32), 0.0, False, self.t == 5, {}


def test_a_time_limit_that_cannot_be_lifted_is_refused_and_one_at_the_horizon_is_none():
    def still(x, o, t):
        return np.zeros((1, 1))

    where, rng = np.zeros(1, int), np.random.default_rng(0)
    with pytest.raises(InputError, match=r"cut an episode short after 5 steps.*set horizon=5"):
        run(GymnasiumTask(Cut, horizon=9), still, where, rng)
    assert run(GymnasiumTask(Cut, horizon=5), still, where, rng).length.tolist() == [5]


class Failing(Cut):
    def step(self, action):
        raise RuntimeError("the cable is out")


def test_an_environment_that_fails_is_named_with_what_it_said():
    task = GymnasiumTask(Failing, horizon=5)
    task.reset(np.zeros(1, int), np.random.default_rng(0))
    with pytest.raises(
        SimulationError, match="Failing failed in step: RuntimeError: the cable is out"
    ):
        task.step(np.zeros((1, 1)))


class Old(Cut):
    def step(self, action):
        return np.zeros(1, np.float32), 0.0, False, {}


class Unbuilt(Cut):
    def __init__(self):
        raise AssertionError("no such\nmotor")


def in_array(self, action):
    return np.zeros(1, np.float32), np.array([-2.0]), np.bool_(False), False, {}


def test_four_values_of_a_step_are_those_of_the_old_gym():
    task = GymnasiumTask(Old, horizon=3)
    task.reset(np.zeros(1, int), np.random.default_rng(0))
    with pytest.raises(InputError, match=r"Old, a step, gave 4 values; expected 5.*old Gym"):
        task.step(np.zeros((1, 1)))


def test_five_values_of_an_own_step_say_what_to_do(monkeypatch):
    monkeypatch.setattr(Clock, "step", in_array)
    task = OwnTask(Clock, action_low=[-1], action_high=[1], horizon=3)
    task.reset(np.zeros(1, int), np.random.default_rng(0))
    with pytest.raises(InputError, match=r"got 5 values.*self\.reward.*GymnasiumTask"):
        task.step(np.zeros((1, 1)))


def test_a_reward_in_an_array_is_the_number_in_it(monkeypatch):
    monkeypatch.setattr(Cut, "step", in_array)
    task = GymnasiumTask(Cut, horizon=3)
    shown = run(task, lambda x, o, t: np.zeros((1, 1)), np.zeros(1, int), np.random.default_rng(0))
    assert shown.costs.tolist() == [6.0]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (Unbuilt, SimulationError, "Unbuilt failed in make: AssertionError: no such motor"),
        (lambda: None, InputError, "gave a NoneType; expected a gymnasium.Env"),
    ],
)
def test_an_environment_that_cannot_be_made_is_named(make, error, words):
    with pytest.raises(error, match=words):
        GymnasiumTask(make, horizon=3)


def test_a_constructor_that_takes_continuous_is_told_of():
    class Lander(Cut):
        action_space = gymnasium.spaces.Discrete(4)

        def __init__(self, continuous=False):
            pass

    with pytest.raises(InputError, match="its constructor takes continuous=True"):
        GymnasiumTask(Lander, horizon=3)


def test_an_unknown_environment_suggests_the_module_that_registers_it():
    with pytest.raises(InputError, match="gymnasium:MODULE:ID"):
        GymnasiumTask("Pendulum-v99")


class Sloped:
    """A quadratic cost whose expansion may be wrong."""

    def __init__(self, slope=1.0, curvature=1.0):
        self.slope, self.curvature = slope, curvature
        self.inner = WeightedNorm([1.0, 1.0])

    def __call__(self, X, U):
        return self.inner(X, U)

    def expand(self, X, U):
        C, c, _ = self.inner.expand(X, U)
        xu = np.concatenate([X, np.pad(U, ((0, 0), (0, 1), (0, 0)))], -1)
        H = self.curvature * C
        g = self.slope * ((C @ xu[..., None])[..., 0] + c)
        value, c = self.inner(X, U), g - (H @ xu[..., None])[..., 0]
        return QuadraticCost(H, c, value - ((0.5 * (H @ xu[..., None])[..., 0] + c) * xu).sum(-1))


def test_an_expansion_that_is_given_is_compared_with_differences_when_the_task_is_made():
    limits = {"action_low": [-1], "action_high": [1], "horizon": 4}
    OwnTask(Apart, Sloped(), **limits)
    with pytest.raises(InputError, match=r"expand\(X, U\) says a slope of"):
        OwnTask(Apart, Sloped(slope=0.5), **limits)
    with pytest.warns(UserWarning, match="says a curvature of"):
        OwnTask(Apart, Sloped(curvature=0.5), **limits)


def test_discrete_actions_suggest_the_continuous_environment():
    with pytest.raises(InputError, match="gymnasium:MountainCarContinuous-v0"):
        GymnasiumTask("MountainCar-v0")


def test_limits_too_far_to_matter_are_none():
    task = cart(Cart, low=-1e30, high=np.finfo(np.float32).max)
    assert (task.action_low[0], task.action_high[0]) == (-np.inf, np.inf)
    assert zero_controllers(task, 0.1).cov[0, 0, 0, 0] == pytest.approx(0.01)


@pytest.mark.parametrize(("low", "high"), [(-np.inf, np.inf), (0.5, np.inf), (-np.inf, -0.5)])
def test_an_environment_of_a_task_without_limits_pays_finite_rewards(low, high):
    env = TaskEnv(cart(Apart, low=low, high=high))
    env.reset(seed=0)
    for action in (-1.0, 0.0, 1.0):
        assert np.isfinite(env.step(np.array([action], np.float32))[1])


@pytest.mark.parametrize(
    ("low", "high", "first"),
    [(2, 4, 3), (-4, -2, -3), (0, 2, 0), (-1, 1, 0), (2, np.inf, 3), (-np.inf, -2, -3)],
)
def test_first_controllers_start_inside_the_limits(low, high, first):
    task = cart(Cart, low=low, high=high)
    assert resting(task.action_low, task.action_high).tolist() == [first]
    shown = rollout(task, zero_controllers(task, 0.1), np.arange(2), 2, np.random.default_rng(0))
    assert shown.u.std() > 0


def test_a_motor_without_a_range_is_unlimited():
    xml = """<mujoco><worldbody><body><joint name="a" type="slide"/><geom size="1"/></body></worldbody>
    <actuator><motor joint="a"/><motor joint="a" ctrlrange="-2 3"/></actuator></mujoco>"""
    low, high = MujocoBatch(xml, 1).action_limits
    assert low.tolist() == [-np.inf, -2]
    assert high.tolist() == [np.inf, 3]


def test_where_the_state_is_what_is_seen_that_is_said_and_else_not(monkeypatch):
    task = cart(Cart)
    x = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(capability(task, ObservationOf).observation_of(x), x)
    monkeypatch.setattr(Cart, "observe", lambda self: np.zeros(1), raising=False)
    assert capability(cart(Cart), ObservationOf) is None
