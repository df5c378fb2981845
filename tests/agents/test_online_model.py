"""Learning within an episode: every transition is learned from once, in the order in which it
came.
"""

import numpy as np
import pytest

from agents.mpc import pets
from agents.mpc.steps.loop import run_episodes
from agents.mpc.steps.online_model import OnlineModel
from agents.planners import CEM
from agents.rollout import run
from agents.tasks import make_task
from dynamics import Network
from dynamics.storage.tree import load_tree, save_tree
from lqr import Gaussian


class Notes:
    """A model that writes down what it is fitted to; it predicts that nothing moves."""

    normaliser = None

    def __init__(self):
        self.fits = []

    def fit(self, x, u, xnext, rng):
        self.normaliser = True
        self.fits.append((x.copy(), u.copy(), xnext.copy()))

    def predict(self, x, u):
        return unsure(x)


def unsure(mean):
    return Gaussian(mean, np.broadcast_to(np.eye(mean.shape[-1]), (*mean.shape, mean.shape[-1])))


def episodes(learner, rng, count=3):
    task = make_task("pendulum")
    u = rng.uniform(-1, 1, size=(count, task.horizon, 1))
    return run(task, lambda x, o, t: u[:, t], np.zeros(count, int), rng, learner.watch)


def test_all_transitions_are_learned_from_once_and_those_of_earlier_steps_come_first():
    rng, model = np.random.default_rng(0), Notes()
    learner = OnlineModel(model, 15, rng)
    trajectories = episodes(learner, rng)
    T = trajectories.u.shape[1]
    error = learner.finish(trajectories)
    assert T % 15, "the last part is shorter than the others"
    assert [len(x) for x, _, _ in model.fits] == [3 * t for t in (*range(15, T, 15), T)]
    x, u, after = model.fits[-1]
    for part, whole in (
        (x, trajectories.x[:, :-1]),
        (u, trajectories.u),
        (after, trajectories.x[:, 1:]),
    ):
        cuts = [(t, min(t + 15, T)) for t in range(0, T, 15)]
        expected = np.concatenate([whole[:, a:b].reshape(-1, whole.shape[2]) for a, b in cuts])
        np.testing.assert_array_equal(part, expected)
    for before, now in zip(model.fits, model.fits[1:], strict=False):
        np.testing.assert_array_equal(now[0][: len(before[0])], before[0])
    new = after[45:] - x[45:]  # the error is that of what came after the first fit
    assert error == pytest.approx(float((np.abs(new).mean(0) / new.std(0)).mean()))
    more = learner.finish(episodes(learner, rng))
    assert len(model.fits[-1][0]) == 2 * 3 * T
    assert more > 0


def test_without_fit_every_the_model_learns_at_the_end_alone():
    rng, model = np.random.default_rng(0), Notes()
    learner = OnlineModel(model, 0, rng)
    trajectories = episodes(learner, rng)
    assert model.fits == []
    assert learner.finish(trajectories) == 0.0
    np.testing.assert_array_equal(model.fits[0][0], trajectories.transitions[0])


def test_steps_after_an_episodes_end_teach_nothing():
    rng, model = np.random.default_rng(0), Notes()
    trajectories, learner = episodes(OnlineModel(Notes(), 0, rng), rng), OnlineModel(model, 4, rng)
    short = trajectories._replace(length=np.array([2, 6, 0]))
    learner.watch(short.between(0, 4))
    learner.watch(short.between(0, 8))
    learner.watch(short.between(0, 12))
    assert [len(x) for x, _, _ in model.fits] == [6, 8]
    np.testing.assert_array_equal(model.fits[-1][0][6:], trajectories.x[1, 4:6])


def test_actions_are_random_and_repeated_until_the_model_is_fitted_for_the_first_time():
    task, rng = make_task("pendulum"), np.random.default_rng(0)
    model = Network(hidden=(4,), steps=5)

    class Still:
        cost = task.cost

        def sample(self, x, t, rng):
            return np.zeros((len(x), task.du))

    trajectories = run_episodes(task, Still(), 2, rng, 5, OnlineModel(model, 20, rng))
    blocks = trajectories.u[:, :20].reshape(2, 4, 5)
    assert (blocks == blocks[:, :, :1]).all()
    assert len(np.unique(blocks)) == 8
    assert (trajectories.u[:, 20:] == 0).all()


def test_a_run_that_learns_within_episodes_resumes_to_the_same_bits(tmp_path):
    settings = pets.Config(
        planner=CEM(10, 6, 3),
        iterations=3,
        warm_up=0,
        fit_every=15,
        action_repeat=3,
        hidden=(8,),
        fit_steps=20,
        horizon=4,
    )
    whole = list(pets.train(make_task("pendulum"), settings, np.random.default_rng(3)))
    rng = np.random.default_rng(3)
    first = next(pets.train(make_task("pendulum"), settings, rng))
    save_tree(tmp_path / "state", first.state, {})
    rest = list(
        pets.train(make_task("pendulum"), settings, rng, state=load_tree(tmp_path / "state")[0])
    )
    for a, b in zip(whole[1:], rest, strict=True):
        assert a.scalars == b.scalars
        np.testing.assert_array_equal(a.arrays["x"], b.arrays["x"])
    assert whole[0].scalars["model_calls"] > 0  # it planned in the first episode
    assert whole[0].scalars["model_error"] > 0


def test_the_models_error_is_small_where_the_model_is_right():
    rng = np.random.default_rng(0)
    learner = OnlineModel(Network(hidden=(16,), steps=600), 0, rng)
    errors = [learner.finish(episodes(learner, rng, 20)) for _ in range(2)]
    assert errors[0] == 0.0
    assert 0.0 < errors[1] < 0.1


def test_what_did_not_move_at_all_counts_in_no_error():
    rng, model = np.random.default_rng(0), Notes()
    learner, trajectories = OnlineModel(model, 15, rng), episodes(OnlineModel(Notes(), 0, rng), rng)
    trajectories.x[:, :, 1] = 0.3  # an object that is not touched
    model.predict = lambda x, u: unsure(x + 1e-5)  # which the model thinks creeps
    learner.watch(trajectories.between(0, 15))
    error = learner.finish(trajectories)
    new = np.diff(trajectories.between(15, trajectories.u.shape[1]).x[..., 0], axis=1).ravel()
    assert error == pytest.approx(np.abs(new - 1e-5).mean() / new.std())
