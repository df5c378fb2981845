"""A person's own simulator, any Gymnasium environment, and the cost that is learned from
rewards.
"""

import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from agents.rollout import metrics_of, rollout, run
from agents.tasks import make_task
from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from agents.tasks.adapters.user_task import OwnTask
from agents.tasks.capabilities import Named, capability, state_names
from agents.tasks.costs.reward_cost import RewardCost
from dynamics.storage.tree import load_tree, save_tree
from gps import lqr_flm
from lqr import InputError, LinearGaussianController
from lqr.costs import Action, WeightedNorm


class Tank:
    """x = [level (m), inflow (m^3/s)]; the valve u moves the inflow, the level drains as Torricelli
    says.
    """

    def reset(self, condition, rng):
        self.x = np.array([0.5 + 0.25 * condition + 0.01 * rng.standard_normal(), 0.0])
        return self.x

    def step(self, u):
        level, inflow = self.x
        self.x = self.x + 0.2 * np.array([inflow - 0.5 * np.sqrt(max(level, 0.0)), u[0] - inflow])
        return self.x


def tank(**settings):
    cost = WeightedNorm([1.0, 0.0], l2=2.0, target=[1.0, 0.0]) + Action(0.02)
    return OwnTask(
        Tank, cost, action_low=[0], action_high=[2], horizon=40, dt=0.2, conditions=2, **settings
    )


def controllers(task, std=0.1):
    C, T = task.conditions, task.horizon
    K = np.zeros((C, T, task.du, task.dx))
    return LinearGaussianController(K, K[..., 0], np.tile(std**2 * np.eye(task.du), (C, T, 1, 1)))


def test_a_simulator_of_ones_own_is_learned_to_control():
    task = tank(metrics=lambda x, u: {"error": np.abs(x[:, -1, 0] - 1)})
    config = lqr_flm.Config(iterations=8, samples=3, initial_std=0.2, max_kl_step=1000.0)
    rows = [i.scalars for i in lqr_flm.train(task, config, np.random.default_rng(0))]
    assert rows[-1]["cost"] < 0.5 * rows[0]["sampled_cost"]
    assert rows[-1]["error"] < 0.05  # m


def test_side_by_side_they_are_what_each_is_alone(monkeypatch):
    monkeypatch.setattr(Tank, "independent", True, raising=False)
    task, rng = tank(), np.random.default_rng(0)
    u = rng.uniform(0, 2, size=(3, 40, 1))
    x = [task.reset(np.array([0, 1, 0]), np.random.default_rng(5))]
    for t in range(40):
        x.append(task.step(u[:, t]))
    draws = np.random.default_rng(5)
    for i, condition in enumerate([0, 1, 0]):
        alone = Tank()
        path = [alone.reset(condition, draws)] + [alone.step(u[i, t]) for t in range(40)]
        np.testing.assert_array_equal(np.stack(x, 1)[i], path)


class Ending(Tank):
    """Over when it has run for 5 + 3 condition steps; asked again after that it fails."""

    def reset(self, condition, rng):
        self.left, self.over = 5 + 3 * condition, False
        return super().reset(condition, rng)

    def step(self, u):
        assert not self.over
        self.left -= 1
        self.over = self.left == 0
        return super().step(u)


def test_an_episode_that_is_over_is_not_asked_again():
    task = OwnTask(
        Ending, WeightedNorm([1.0, 1.0]), action_low=[0], action_high=[2], horizon=40, conditions=2
    )
    episodes = rollout(task, controllers(task), np.arange(2), 2, np.random.default_rng(0))
    assert np.array_equal(episodes.length, [5, 5, 8, 8])
    assert not episodes.failed.any()


class Breaking(Tank):
    def step(self, u):
        x = super().step(u)
        return x * np.nan if u[0] > 1.5 else x


def test_numbers_that_are_not_finite_are_a_divergence_of_that_simulation_alone(monkeypatch):
    monkeypatch.setattr(Breaking, "independent", True, raising=False)
    task = OwnTask(
        Breaking,
        WeightedNorm([1.0, 1.0]),
        action_low=[0],
        action_high=[2],
        horizon=10,
        conditions=1,
    )
    act = np.array([[1.0], [1.8]])
    episodes = run(
        task, lambda x, o, t: act if t == 4 else 0 * act, np.zeros(2, int), np.random.default_rng(0)
    )
    assert np.array_equal(episodes.failed, [False, True])
    assert np.array_equal(episodes.length, [10, 5])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"action_low": [0, 0]}, "expected low < high"),
        ({"action_high": [0]}, "expected low < high"),
        ({"horizon": 0}, "horizon is 0"),
        ({"conditions": 0}, "conditions is 0"),
        ({"dt": 0.0}, "dt is 0.0"),
        ({"dt": None}, "dt is None; expected a number"),
        ({"horizon": True}, "horizon is True; expected a whole number"),
        ({"action_low": [False]}, "action limits are"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(settings, words):
    fine = {"action_low": [0], "action_high": [2], "horizon": 5}
    with pytest.raises(InputError, match=words):
        OwnTask(Tank, WeightedNorm([1.0, 1.0]), **{**fine, **settings})


@pytest.mark.parametrize(
    ("reset", "step", "words"),
    [
        (lambda *_: "x", lambda u: u, "the x of own after reset is 'x'; expected numbers"),
        (lambda *_: [np.inf], lambda u: u, "after reset is .inf.; expected finite"),
        (lambda *_: [], lambda u: u, "has 0 numbers"),
        (lambda *_: [1.0, 2.0], lambda u: [1.0], "after step has 1 numbers; expected 2"),
        (lambda *_: [1.0, 2.0], lambda u: None, "after step is None; expected numbers"),
        (lambda *_: [1.0, 2.0], lambda u: [1.0, 2.0], "got no finite reward; expected a cost"),
    ],
)
def test_what_a_simulator_returns_is_checked_and_named(reset, step, words):
    class Wrong:
        pass

    Wrong.reset, Wrong.step = staticmethod(reset), staticmethod(step)

    def use():
        task = OwnTask(Wrong, action_low=[0], action_high=[2], horizon=5)
        task.reset(np.zeros(1, int), np.random.default_rng(0))
        task.step(np.ones((1, 1)))

    with pytest.raises(InputError, match=words):
        use()


def test_a_quadratic_reward_is_recovered_with_its_derivatives():
    rng, dx, du = np.random.default_rng(0), 3, 2
    root, g = rng.normal(size=(5, 5)), rng.normal(size=5)
    H = root @ root.T
    cost = RewardCost(dx, du, ridge=1e-10)
    x, u = rng.normal(size=(400, dx)), 3 * rng.normal(size=(400, du))
    z = np.concatenate([x, u], 1)
    truth = 0.5 * np.einsum("mi,ij,mj->m", z, H, z) + z @ g + 2.0
    cost.add(x, u, -truth)
    X, U = rng.normal(size=(2, 7, dx)), rng.normal(size=(2, 6, du))
    got = cost.expand(X, U)
    np.testing.assert_allclose(got.C[:, :6], np.broadcast_to(H, (2, 6, 5, 5)), atol=1e-4)
    np.testing.assert_allclose(got.c[:, :6], np.broadcast_to(g, (2, 6, 5)), atol=1e-4)
    np.testing.assert_allclose(got.const[:, :6], 2.0, atol=1e-4)
    assert all((a[:, 6] == 0).all() for a in got)
    xu = np.concatenate([X[:, :6], U], -1)
    np.testing.assert_allclose(
        cost(X, U)[:, :6], 0.5 * np.einsum("nti,ij,ntj->nt", xu, H, xu) + xu @ g + 2.0, atol=1e-4
    )


def test_where_a_reward_was_measured_the_cost_is_that_reward_however_it_jumps():
    rng = np.random.default_rng(0)
    cost = RewardCost(2, 1)
    x, u, reward = rng.normal(size=(50, 2)), rng.normal(size=(50, 1)), rng.normal(size=50)
    cost.add(x, u, reward)
    np.testing.assert_array_equal(cost(x[None], u[None, :49])[0], np.r_[-reward[:49], 0.0])


def test_a_curved_reward_is_followed_locally():
    rng = np.random.default_rng(0)
    x, u = rng.uniform(-2, 2, size=(4000, 2)), rng.uniform(-1, 1, size=(4000, 1))
    cost = RewardCost(2, 1)
    cost.add(x, u, np.cos(x[:, 0]) * x[:, 1] - u[:, 0] ** 2)
    X, U = rng.uniform(-1, 1, size=(1, 30, 2)), rng.uniform(-0.5, 0.5, size=(1, 29, 1))
    C, c, _ = cost.expand(X, U)
    xu = np.concatenate([X[:, :-1], U], -1)
    slope = (C[:, :-1] @ xu[..., None])[..., 0] + c[:, :-1]
    truth = np.stack([np.sin(xu[..., 0]) * xu[..., 1], -np.cos(xu[..., 0]), 2 * xu[..., 2]], -1)
    np.testing.assert_allclose(slope, truth, atol=0.1)
    assert np.abs(slope - truth).mean() < 0.02


def test_the_memory_forgets_the_oldest_and_a_high_dimensional_quadratic_is_diagonal():
    cost = RewardCost(2, 1, memory=100)
    for i in range(5):
        cost.add(
            np.full((60, 2), i) + np.arange(60)[:, None] * 1e-3, np.zeros((60, 1)), np.full(60, i)
        )
    cost(np.zeros((1, 3, 2)), np.ones((1, 2, 1)))
    assert len(cost._xu) == 100
    assert cost._cost.max() == -3
    wide = RewardCost(20, 5)
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(300, 20)), rng.normal(size=(300, 5))
    wide.add(x, u, -(x**2).sum(1))
    C = wide.expand(x[None, :4], u[None, :3]).C[0, :3]
    assert (C[:, ~np.eye(25, dtype=bool)] == 0).all()
    assert C[:, range(20), range(20)].mean() > 1.0
    assert np.abs(C[:, range(20, 25), range(20, 25)]).mean() < 0.3


def test_an_environment_of_gymnasium_is_mirrored_in_state_reward_and_start():
    task = GymnasiumTask("Pendulum-v1", conditions=3)
    u = np.random.default_rng(0).uniform(-2, 2, size=(3, 200, 1))
    episodes = run(task, lambda x, o, t: u[:, t], np.arange(3), np.random.default_rng(0))
    assert (task.horizon, task.dt, task.dx, task.du) == (200, 0.05, 3, 1)
    with gymnasium.make("Pendulum-v1") as env:
        for c in range(3):
            seen, _ = env.reset(seed=20_000 + c)
            np.testing.assert_array_equal(episodes.x[c, 0], seen)
            for t in range(200):
                seen, reward, *_ = env.step(u[c, t].astype(np.float32))
                np.testing.assert_array_equal(episodes.x[c, t + 1], seen)
                assert episodes.cost[c, t] == pytest.approx(-reward, abs=1e-12)
    assert metrics_of(task, episodes)["return"] == pytest.approx(-episodes.cost.sum(-1))


def test_fresh_starts_differ_and_belong_to_the_generator():
    task = GymnasiumTask("Pendulum-v1", fresh_starts=True)
    where = np.zeros(3, int)
    a, b = (task.reset(where, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(a, b)
    assert len(np.unique(a[:, 0])) == 3


def test_a_termination_ends_an_episode_and_the_time_limit_is_the_horizon():
    task = GymnasiumTask("InvertedPendulum-v5", horizon=60)
    act = np.array([[0.0], [3.0]])
    episodes = run(task, lambda x, o, t: act, np.zeros(2, int), np.random.default_rng(0))
    assert episodes.length[1] < episodes.length[0] <= 60
    assert episodes.cost[1].sum() == -(episodes.length[1] - 1)
    long = GymnasiumTask("Pendulum-v1", horizon=230)  # longer than the environment's own limit
    still = run(long, lambda x, o, t: np.zeros((1, 1)), np.zeros(1, int), np.random.default_rng(0))
    assert still.length[0] == 230


def test_side_by_side_in_processes_the_numbers_are_those_of_one_after_another():
    """Early ends, starts by the generator, and another number of episodes in between."""
    u = np.random.default_rng(2).uniform(-3, 3, size=(3, 40, 1))
    found = []
    for processes in (False, True):
        task = GymnasiumTask(
            "InvertedPendulum-v5", horizon=40, conditions=3, fresh_starts=True, processes=processes
        )
        rng = np.random.default_rng(5)
        episodes = [run(task, lambda x, o, t, n=n: u[:n, t], np.arange(n), rng) for n in (3, 1, 3)]
        found.append([a for episode in episodes for a in episode])
    assert found[0][4].min() < 40  # some fall early
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_script_with_processes_ends_in_silence(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})\n"
        "if __name__ == '__main__':\n"
        "    import numpy as np\n"
        "    from agents.tasks.adapters.gymnasium_task import GymnasiumTask\n"
        "    task = GymnasiumTask('Pendulum-v1', conditions=2, processes=True)\n"
        "    print(task.reset(np.arange(2), np.random.default_rng(0)).shape)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(2, 3)\n", "")


def test_a_command_that_is_no_number_ends_its_own_process_episode_alone():
    task = GymnasiumTask("Pendulum-v1", conditions=2, processes=True)
    task.reset(np.arange(2), np.random.default_rng(0))
    x = task.step(np.array([[np.nan], [1.0]]))
    y = task.step(np.zeros((2, 1)))
    assert task.diverged.tolist() == [True, False]
    assert np.array_equal(x[0], y[0])
    assert not np.array_equal(x[1], y[1])


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ("CartPole-v1", "discrete actions, Discrete.2.; .*ActionWrapper"),
        ("Acrobot-v1", "discrete actions"),
        ("Pendulum-v99", "expected one that Gymnasium knows"),
        ("os:Pendulum-v1", "would import the module 'os'; expected an id without ':'"),
    ],
)
def test_an_environment_that_does_not_fit_is_refused_with_what_to_do(env, words):
    with pytest.raises(InputError, match=words):
        make_task(f"gymnasium:{env}")


def test_a_dict_observation_names_the_wrapper_that_helps():
    class Split(gymnasium.ObservationWrapper):
        def __init__(self):
            super().__init__(gymnasium.make("Pendulum-v1"))
            box = gymnasium.spaces.Box(-10, 10, (3,))
            self.observation_space = gymnasium.spaces.Dict({"all": box})

        def observation(self, observation):
            return {"all": observation}

    with pytest.raises(InputError, match=r"observes Dict; expected a Box: .*FlattenObservation"):
        GymnasiumTask(Split)
    task = GymnasiumTask(lambda: gymnasium.wrappers.FlattenObservation(Split()))
    assert (task.dx, task.name, task.horizon) == (3, "gymnasium:Pendulum-v1", 200)


class Paid:
    """A pushed point [place, speed] that says its reward, and nothing of why."""

    def reset(self, condition, rng):
        self.x = np.array([1.0, 0.0]) + 0.05 * rng.standard_normal(2)
        return self.x

    def step(self, u):
        self.reward = -(self.x[0] ** 2 + 0.1 * self.x[1] ** 2 + 0.01 * u[0] ** 2)
        self.over = self.x[0] < 0
        self.x = self.x + 0.2 * np.array([self.x[1], u[0]])
        return self.x


def test_a_run_that_learns_its_cost_from_rewards_resumes_to_the_same_bits(tmp_path):
    def runs(rng, **more):
        task = OwnTask(Paid, action_low=[-1], action_high=[1], horizon=10)
        return lqr_flm.train(task, lqr_flm.Config(iterations=4), rng, **more)

    whole, rng = list(runs(np.random.default_rng(0))), np.random.default_rng(0)
    begun = runs(rng)
    next(begun)
    save_tree(tmp_path / "state", next(begun).state, {})
    rest = list(runs(rng, state=load_tree(tmp_path / "state")[0]))
    assert [row.scalars for row in rest] == [row.scalars for row in whole[2:]]


def test_the_rewards_of_an_environment_alone_teach_the_local_controllers():
    task = GymnasiumTask("Reacher-v5")  # nobody says that its reward is a distance
    config = lqr_flm.Config(iterations=6, samples=6)
    rows = [i.scalars for i in lqr_flm.train(task, config, np.random.default_rng(0))]
    assert rows[-1]["return"] > rows[0]["return"] + 1.5  # of about -9
    assert rows[-1]["return"] == pytest.approx(-rows[-1]["cost"])


def test_a_plain_function_is_a_cost_with_its_derivatives():
    class Pushed:
        def reset(self, condition, rng):
            self.x = np.array([1.0, 0.0])
            return self.x

        def step(self, u):
            self.x = self.x + 0.1 * np.array([self.x[1], u[0]])
            return self.x

    def near(x, u):  # (M, 2), (M, 1) -> (M,)
        return (x**2).sum(-1) + 0.5 * (u**2).sum(-1)

    task = OwnTask(Pushed, near, action_low=[-1], action_high=[1], horizon=5)
    X, U = np.arange(12.0).reshape(1, 6, 2), np.ones((1, 5, 1))
    expected = (X**2).sum(-1)
    expected[:, :5] += 0.5
    np.testing.assert_allclose(task.cost(X, U), expected)
    C = task.cost.expand(X, U).C
    np.testing.assert_allclose(C[0, 0], np.diag([2.0, 2.0, 1.0]), atol=1e-4)


def test_a_person_names_the_numbers_of_their_simulator_or_leaves_it():
    names = ("level (m)", "inflow (m^3/s)")
    task = tank(state_names=names, action_names=["valve"])
    assert state_names(task) == list(capability(task, Named).state_names) == list(names)
    assert state_names(tank()) == ["x[0]", "x[1]"]
    with pytest.raises(InputError, match=r"state_names is \('level',\); expected 2 names"):
        tank(state_names=("level",))
