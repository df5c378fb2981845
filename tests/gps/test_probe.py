"""The probe before learning: on a cost whose response to noise is known in closed form."""

import numpy as np
import pytest

from agents.rollout import Trajectories
from agents.tasks import make_task
from agents.tasks.adapters.user_task import OwnTask
from gps import lqr_flm
from gps.steps.local_policies import LocalPolicies
from gps.steps.probe import candidates, probe, probed_conditions, scale_of
from lqr import LinearGaussianController, Quadratic

T = 4


def controller(offset):
    """Returns a controller whose first action says who it is."""
    return LinearGaussianController(
        np.zeros((1, T, 1, 1)), np.full((1, T, 1), float(offset)), np.zeros((1, T, 1, 1))
    )


def world(linear, quadratic, constant=5.0, diverges=np.inf):
    """Returns a runner in which noise w costs linear w + quadratic w^2 per step, w = +-std in turn,
    on top of the controller's own cost, constant + k; and the sizes that it was asked for.
    """
    asked = []

    def run(given, std, sign):
        asked.append(std)
        samples, w = 1, std * np.array([float(sign)])
        cost = np.zeros((samples, T + 1))
        cost[:, :T] = (constant + given.k[0, 0, 0] + linear * w + quadratic * w**2)[:, None]
        x = np.zeros((samples, T + 1, 1))
        failed = np.full(samples, std * abs(sign) > diverges)
        return Trajectories(x, x[:, 1:], x, cost, np.full(samples, T), failed)

    return run, asked


@pytest.mark.parametrize(
    ("linear", "quadratic"), [(1.0, 3.0), (1.0, 30.0), (1.0, 300.0), (1.0, 1e-3)]
)
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_noise_is_as_large_as_pays_for_a_step(linear, quadratic, unit):
    sizes = [0.01, 0.01 * 10**0.5, 0.1, 0.1 * 10**0.5, 1.0]
    gain = np.array([T * (np.sqrt(2 * 8.0) * linear * s - quadratic * s**2) for s in sizes]) * unit
    run, asked = world(linear * unit, quadratic * unit, 5 * unit)
    found = probe({"zero": controller(0)}, run, 0.01, 1.0, 8.0)
    straight = np.array([quadratic * s <= 0.5 * linear for s in sizes])  # Q at most L / 2
    best = sizes[int(np.argmax(np.where(straight, gain, -np.inf)))] if straight.any() else 0.01
    assert found.std == pytest.approx(best)
    known = np.where(straight, gain, -np.inf)[: len(found.gain)]
    np.testing.assert_allclose(found.gain, known, rtol=1e-9)
    assert max(asked) <= best * 10**0.5 * 1.001  # no further than one size too much


@pytest.mark.parametrize("quadratic", [30.0, -30.0])
def test_noise_that_bends_the_cost_is_too_large_whichever_way_it_bends(quadratic):
    run, _ = world(1.0, quadratic)  # at 0.01 it bends by 0.3 of the slope, at the next size by 0.95
    assert probe({"zero": controller(0)}, run, 0.01, 1.0, 8.0).std == 0.01


def test_noise_under_which_episodes_diverge_is_too_large():
    run, _ = world(1.0, 0.0, diverges=0.05)
    assert probe({"zero": controller(0)}, run, 0.01, 1.0, 8.0).std == pytest.approx(0.01 * 10**0.5)


def test_the_best_start_is_taken_and_zero_where_the_others_are_no_better():
    def run(given, std, sign, samples=1):
        cost = np.tile(np.r_[np.linspace(4.0, 6.0, T), 0.0], (samples, 1))
        cost[:, :T] += given.k[0, :, 0]
        x = np.zeros((samples, T + 1, 1))
        return Trajectories(x, x[:, 1:], x, cost, np.full(samples, T), np.zeros(samples, bool))

    def start(**offsets):
        return probe({w: controller(o) for w, o in offsets.items()}, run, 0.1, 0.1, 8.0).initial

    assert start(zero=0.0, hold=-1.0, pd=-0.5) == "hold"
    assert start(zero=0.0, hold=-1.0, pd=-2.0) == "pd"
    assert start(zero=0.0, hold=1.0, pd=2.0) == "zero"
    assert start(zero=0.0, hold=-1e-3) == "zero"  # within a hundredth of how the cost varies


def test_another_start_is_taken_where_zero_diverges():
    def run(given, std, sign, samples=1):
        x, cost = np.zeros((samples, T + 1, 1)), np.full((samples, T + 1), given.k[0, 0, 0])
        failed = np.full(samples, given.k[0, 0, 0] == 0)
        return Trajectories(x, x[:, 1:], x, cost, np.full(samples, T), failed)

    found = probe({"zero": controller(0), "hold": controller(9)}, run, 0.1, 0.1, 8.0)
    assert found.initial == "hold"


def test_what_comes_after_an_end_is_no_variation_of_the_cost():
    cost = np.r_[5.0, 7.0, np.zeros(T - 1)][None]  # it ended after two steps
    x = np.zeros((1, T + 1, 1))
    ended = Trajectories(x, x[:, 1:], x, cost, np.array([2]), np.zeros(1, bool))
    assert scale_of(ended) == (T + 1) * 1.0


def test_noise_does_not_grow_once_episodes_diverge():
    run, asked = world(1.0, 0.0, diverges=1e-3)
    assert probe({"zero": controller(0)}, run, 0.01, 1.0, 8.0).std == 0.01
    assert asked == [0.01, 0.01, 0.01]  # quiet, and a pair


def test_one_condition_in_ten_is_tried():
    class Many:
        conditions = 40

    assert probed_conditions(Many()).tolist() == [0, 13, 26, 39]
    Many.conditions = 1
    assert probed_conditions(Many()).tolist() == [0]


def test_only_a_task_that_knows_its_joints_is_held():
    assert candidates(make_task("acrobot")) == ("zero",)
    assert candidates(make_task("reacher_four"))[:2] == ("zero", "hold")


class Jittery(OwnTask):
    """A cart with random starts, which are told."""

    def __init__(self):
        starts = self.starts = []

        class Cart:
            independent = True

            def reset(self, condition, rng):
                self.x = rng.standard_normal(1)
                starts.append(float(self.x[0]))
                return self.x

            def step(self, u):
                self.x = self.x + 0.1 * u
                return self.x

        super().__init__(Cart, Quadratic(np.eye(2)), action_low=[-1], action_high=[1], horizon=8)


def test_all_episodes_of_a_probe_start_alike_where_starts_are_random():
    task = Jittery()
    task.starts.clear()
    local = LocalPolicies(task, lqr_flm.Config(), np.random.default_rng(3))
    assert len(task.starts) == local.training.episodes >= 3
    assert len(set(task.starts)) == 1
    local.sample(np.random.default_rng(4))
    assert len(set(task.starts)) > 1  # and those to learn from do not


@pytest.mark.parametrize("initial", ["best", "zero", "hold"])
def test_without_a_probe_there_is_no_episode_before_the_first(initial):
    config = lqr_flm.Config(probe=False, initial=initial)
    local = LocalPolicies(make_task("reacher_four"), config, np.random.default_rng(0))
    assert local.training.episodes == 0
    assert local.initial == ("hold" if initial == "hold" else "zero")
    assert local.std == config.initial_std
