"""Rehearsal: what is learned in the prior's simulator holds in the world as far as the simulator is
right.
"""

import numpy as np
import pytest
from linear_tasks import Point

from dynamics import SimulatorPrior
from dynamics.storage.tree import load_tree, save_tree
from gps import lqr_flm
from gps.steps.simulated_pretraining import SimulatedTask
from lqr import InputError


class PointWithSimulator(Point):
    """The pushed point with a simulator that believes in a factor on its force."""

    def __init__(self, believed=1.0):
        super().__init__()
        self.believed, self.simulator, self.parameters = believed, self, ("force",)

    def __call__(self, x, u, factors):
        pushed = self.dt * self.believed * factors * u
        return np.concatenate([x[:, :2] + self.dt * x[:, 2:], x[:, 2:] + pushed], 1)


def run(task, seed=0, state=None, rng=None, **settings):
    defaults = {
        "iterations": 2,
        "samples": 1,
        "prior": "simulator",
        "pretraining": 8,
        "kl_step": 200.0,
    }
    config = lqr_flm.Config(**{**defaults, **settings})
    return list(lqr_flm.train(task, config, rng or np.random.default_rng(seed), state=state))


def test_a_right_simulator_gives_the_optimum_after_the_first_episode():
    assert run(PointWithSimulator())[0].arrays["cost"] == pytest.approx(Point().optimum(), rel=0.01)


def test_a_wrong_one_is_found_out_by_the_first_episode_and_trained_in_again():
    first = run(PointWithSimulator(0.3))[0]
    assert first.arrays["cost"] == pytest.approx(Point().optimum(), rel=0.01)
    assert np.exp(first.state["prior"]["model"]["theta"]) == pytest.approx([1 / 0.3], rel=1e-3)
    fixed = run(PointWithSimulator(0.3), prior=SimulatorPrior(identify=False))[0]
    assert (fixed.arrays["cost"] > 1.02 * first.arrays["cost"]).all()


def test_pretraining_costs_no_episodes():
    assert [it.scalars["episodes"] for it in run(PointWithSimulator(0.3))] == [3.0, 6.0]


def test_the_promise_of_a_rehearsed_controller_is_kept():
    second = run(PointWithSimulator(0.3))[1]
    assert second.arrays["actual"] == pytest.approx(second.arrays["predicted"], rel=0.1, abs=0.05)
    assert second.scalars["accepted"] == 1.0


def test_a_resumed_run_is_bit_identical(tmp_path):
    rng = np.random.default_rng(3)
    whole, generators = [], []
    config = lqr_flm.Config(iterations=3, samples=1, prior="simulator", pretraining=4)
    for it in lqr_flm.train(PointWithSimulator(0.3), config, rng):
        whole.append(it)
        generators.append(rng.bit_generator.state)
    save_tree(tmp_path / "1", whole[0].state)
    again = np.random.default_rng(0)
    again.bit_generator.state = generators[0]
    rest = list(
        lqr_flm.train(PointWithSimulator(0.3), config, again, state=load_tree(tmp_path / "1")[0])
    )
    assert [it.scalars for it in rest] == [it.scalars for it in whole[1:]]


def test_the_imagined_world_is_the_simulators_and_ends_where_that_fails():
    class Broken(PointWithSimulator):
        def __call__(self, x, u, factors):
            after = super().__call__(x, u, factors)
            after[x[:, 0] > 0] = np.nan
            return after

    prior = SimulatorPrior()
    prior.attach(task := Broken(2.0))
    world = SimulatedTask(task, prior)
    x = world.reset(np.array([0, 1, 2]), np.random.default_rng(0))
    after = world.step(np.ones((3, 2)))
    assert world.done().tolist() == [
        False,
        True,
        False,
    ]  # of the second, the target lies on the other side
    np.testing.assert_allclose(after[0, 2:], x[0, 2:] + 0.4)
    assert (world.horizon, world.conditions, world.cost) == (15, 3, task.cost)


def test_another_prior_has_nothing_to_rehearse_in():
    with pytest.raises(InputError, match="GaussianMixturePrior; expected the prior simulator"):
        run(PointWithSimulator(), prior="gmm")
    with pytest.raises(InputError, match="pretraining is -1"):
        run(PointWithSimulator(), pretraining=-1)
