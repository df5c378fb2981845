"""A condition in a poor optimum tries another's controller, and keeps what is better."""

from copy import deepcopy
from itertools import islice

import numpy as np
import pytest

from agents.tasks.costs.user_cost import UserCost
from gps import lqr_flm
from lqr import InputError


class TwoWells:
    """x = [position, velocity], u a force; of the wells at -1 and +1 the left one costs more. Three
    conditions start on the right slope, the last one on the left.
    """

    name, horizon, dt, dx, du, do = "two wells", 12, 0.2, 2, 1, 2
    action_low, action_high = -8 * np.ones(1), 8 * np.ones(1)
    starts = np.array([0.15, 0.25, 0.35, -0.15])
    conditions = 4

    def __init__(self, unit=1.0, constant=0.0):
        def cost(x, u):
            p, v = x[..., 0], x[..., 1]
            return unit * (
                (p**2 - 1) ** 2 + 0.3 * (1 - p) + 0.02 * v**2 + 0.001 * (u**2).sum(-1) + constant
            )

        self.cost = UserCost(cost, 2, 1)

    def reset(self, conditions, rng):
        self.x = np.stack([self.starts[conditions], np.zeros(len(conditions))], 1)
        return self.x.copy()

    def step(self, u):
        p, v = self.x.T
        self.x = np.stack([p + self.dt * v, v + self.dt * u[:, 0]], 1)
        return self.x.copy()

    def observe(self):
        return self.x.copy()

    def done(self):
        return np.zeros(len(self.x), bool)

    def metrics(self, x, u):
        return {"end": x[:, -1, 0]}


def trained(task=None, iterations=18, restarts=1, state=None, rng=None, **more):
    config = lqr_flm.Config(
        iterations=iterations,
        samples=3,
        initial_std=0.05,
        min_std=0.01,
        probe=False,
        initial="zero",
        restarts=restarts,
        **more,
    )
    return lqr_flm.train(task or TwoWells(), config, rng or np.random.default_rng(0), state)


def ends(iteration):
    """Returns where the episodes of each condition end, (C,)."""
    return iteration.arrays["x"][:, :, -1, 0].mean(1)


@pytest.fixture(scope="module")
def run():
    return list(trained())


def test_a_restart_leaves_a_local_optimum(run):
    *_, without = trained(restarts=0)
    assert ends(without)[3] < -0.7
    assert (ends(without)[:3] > 0.7).all()
    assert ends(run[-1])[3] > 0.7
    assert run[-1].arrays["cost"][3] < 0.8 * without.arrays["cost"][3]


def test_it_costs_no_episode_and_what_is_shown_never_gets_worse_by_it(run):
    on = np.array([it.scalars["restarted"] for it in run])
    assert on.max() == 1.0
    assert on[-1] == 0.0
    assert [it.scalars["episodes"] for it in run] == [12.0 * (i + 1) for i in range(len(run))]
    cost = np.array([it.arrays["cost"][3] for it in run])
    typical = cost[0] - cost[-1]
    assert (np.diff(cost)[on[1:] > 0] < 0.1 * typical).all()


def test_a_run_goes_on_exactly_from_the_middle_of_a_restart():
    rng = np.random.default_rng(0)
    whole = trained(iterations=20, rng=rng)
    here = next(it for it in whole if it.scalars["restarted"])
    resumed = trained(iterations=20, state=deepcopy(here.state), rng=deepcopy(rng))
    for a, b in islice(zip(whole, resumed, strict=True), 4):
        assert a.scalars == b.scalars
        assert all(np.array_equal(a.arrays[n], b.arrays[n], equal_nan=True) for n in a.arrays)


@pytest.mark.parametrize(("unit", "constant"), [(64.0, 0.0), (1.0, -8.0)])
def test_neither_the_unit_of_the_cost_nor_a_constant_decides(run, unit, constant):
    other = list(trained(TwoWells(unit, constant)))
    assert [it.scalars["restarted"] for it in other] == [it.scalars["restarted"] for it in run]


class OnTheTop(TwoWells):
    """All start on the top between the wells, where chance decides which way they go."""

    starts = np.zeros(4)


def test_the_best_of_many_starts_goes_on():
    """The right well costs 0.6 a step less than the left one."""
    sides = [ends(last) for *_, last in (trained(OnTheTop(), restarts=0) for _ in range(1))]
    assert (sides[0] < 0).any()  # one start alone: some go left
    *_, last = trained(OnTheTop(), restarts=0, initial_controllers=6, initial_iterations=7)
    assert (ends(last) > 0.7).all()
    assert last.number == 18  # the first seven among them
    assert last.scalars["episodes"] == 3 * 4 * (6 * 7 + 11)


def test_a_run_of_many_starts_goes_on_exactly():
    rng = np.random.default_rng(0)
    whole = trained(OnTheTop(), iterations=8, initial_controllers=2, initial_iterations=3, rng=rng)
    here = next(whole)
    assert here.number == 4
    state, again = deepcopy(here.state), deepcopy(rng)
    rest = trained(
        OnTheTop(), 8, state=state, rng=again, initial_controllers=2, initial_iterations=3
    )
    for a, b in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(a.arrays["x"], b.arrays["x"])


@pytest.mark.parametrize("first", [0, 9])
def test_the_first_iterations_leave_one_for_what_is_shown(first):
    with pytest.raises(InputError, match="initial_iterations is"):
        lqr_flm.Config(iterations=9, initial_controllers=2, initial_iterations=first)
