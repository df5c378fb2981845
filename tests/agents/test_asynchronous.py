"""In lockstep the asynchronous schedule is the synchronous method to the bit; elsewhere a worker does
what it does here, and where it is killed another one does.
"""

import multiprocessing
import os
import signal
import time
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

from agents.imagination import asynchronous, me_trpo
from agents.imagination.steps.elsewhere import Post
from agents.imagination.steps.on_policy import Improved, OnPolicy, paced
from agents.imagination.steps.ray_cluster import LOCAL, cluster
from agents.imagination.steps.schedules import begun_of
from agents.imagination.steps.workers import Fitter, add, rows_of
from agents.tasks import make_task
from dynamics import ReplayBuffer
from lqr import InputError

SMALL = {"iterations": 3, "iteration_steps": 60, "warm_up": 60, "updates": 3, "imagined": 5}
SMALL |= {"imagined_steps": 10, "hidden": (4,), "model_hidden": (8,), "members": 2, "fit_steps": 20}
SMALL |= {"validate_every": 2}


def test_in_lockstep_it_is_the_synchronous_method_to_the_bit_and_goes_on_to_the_same_bits():
    rows, at, rng = [], [], np.random.default_rng(0)
    for row in asynchronous.train(make_task("point_mass"), asynchronous.Config(**SMALL), rng):
        rows.append(row)
        at.append(rng.bit_generator.state)
    own = me_trpo.train(make_task("point_mass"), me_trpo.Config(**SMALL), np.random.default_rng(0))
    for row, other in zip(rows, own, strict=True):
        assert {name: row.scalars[name] for name in other.scalars} == other.scalars
        np.testing.assert_array_equal(row.policy.weights[0], other.policy.weights[0])
    again = np.random.default_rng()
    again.bit_generator.state = at[0]
    rest = asynchronous.train(
        make_task("point_mass"), asynchronous.Config(**SMALL), again, rows[0].state
    )
    assert [row.scalars for row in rest] == [row.scalars for row in rows[1:]]


def test_rows_that_are_sent_are_those_that_were_kept():
    buffer, other = ReplayBuffer(30), ReplayBuffer(30)
    rng = np.random.default_rng(0)
    for length in (7, 12, 15):
        x = rng.standard_normal((length, 2))
        first, end = np.arange(length) == 0, np.zeros(length, bool)
        buffer.add(x, x[:, :1], x, x, x, x[:, 0], end, first)
        add(other, rows_of(buffer, length))
    assert rows_of(buffer, 0) == {}
    for name, value in buffer.state().items():
        np.testing.assert_array_equal(other.state()[name], value)


def test_who_acts_at_a_pace_waits_for_each_step_and_makes_up_for_none(monkeypatch):
    now, slept, asked = [0.0], [], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", slept.append)
    act = paced(lambda x, o, t: t, 20.0, asked.append)
    for t, late in enumerate([0.0, 0.01, 0.05, 0.3, 0.3]):
        now[0] = late
        assert act(None, None, t) == t
    np.testing.assert_allclose(slept, [0.0, 0.04, 0.05, 0.0, 0.05], atol=1e-12)
    assert asked == [0, 1, 2, 3, 4]


def test_a_state_from_before_the_first_fit_goes_on_without_a_model():
    task, c = make_task("point_mass"), asynchronous.Config(**SMALL)
    run, nothing = OnPolicy(task, c, np.random.default_rng(0), None), np.full(1, np.nan)
    found = run.collect()
    told = Improved(run.policy, 0, nothing, nothing, nothing[None])
    before = run.iteration(found, told).state
    assert not OnPolicy(task, c, np.random.default_rng(0), before).fitted
    run.fit()
    run.model_error = 0.25
    after = OnPolicy(task, c, np.random.default_rng(0), run.iteration(found, told).state)
    assert after.fitted
    assert after.model_error == 0.25


def answer(post):
    """Returns what a worker made of its turn."""
    while (found := post.exchange()) is None:
        time.sleep(0.01)
    return found


def fitted_elsewhere(place):
    """A worker fits what it is sent, is killed, and another one fits it again; returns how many were
    replaced.
    """
    task, c = make_task("point_mass"), me_trpo.Config(**SMALL)
    run = OnPolicy(task, c, np.random.default_rng(0), None)
    begun = begun_of(run)
    run.collect()
    rows = rows_of(run.buffer, run.buffer.total)
    seeds = np.random.default_rng(5).integers(2**31, size=2)
    expected = [
        Fitter(task, c, begun).turn(rows, np.random.default_rng(int(seed))) for seed in seeds
    ]
    known = [begun, begun_of(run)]
    post = Post(place, partial(Fitter, task, c), lambda: known.pop(0), np.random.default_rng(5))
    try:
        post.put(rows)
        compare(answer(post), expected[0])
        kill(post)
        post.put({"again": True})
        compare(answer(post), expected[1])
        return post.replaced
    finally:
        post.end()


def kill(post):
    """Kills a worker, as a lack of memory would."""
    if post.place == "ray":
        import ray

        ray.kill(post.remote.actor)
    else:
        os.kill(post.remote.process.pid, signal.SIGKILL)
        post.remote.process.join()


def compare(found, expected):
    """Compares two trees."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, dict):
            compare(found[name], value)
        else:
            np.testing.assert_array_equal(found[name], value)


@pytest.mark.slow
def test_a_process_does_what_is_done_here_and_another_one_where_it_is_killed():
    assert fitted_elsewhere("processes") == 1


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("ray"), reason="Ray is not installed: pip install .[ray]")
def test_an_actor_does_what_is_done_here_and_another_one_where_it_is_killed():
    """And who handles SIGTERM goes on doing so, as a run does that is to save what it has."""

    def ours(number, frame):
        pass

    before = signal.signal(signal.SIGTERM, ours)
    try:
        with cluster(LOCAL, 2):
            assert signal.getsignal(signal.SIGTERM) is ours
            assert fitted_elsewhere("ray") == 1
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_run_in_processes_waits_for_nobody_and_leaves_none_behind():
    config = asynchronous.Config(**SMALL | {"iterations": 2}, schedule="processes")
    for row in asynchronous.train(make_task("point_mass"), config, np.random.default_rng(0)):
        assert len(multiprocessing.active_children()) == 2
        assert np.isfinite(row.scalars["cost"])
        assert row.scalars["policy_age"] <= row.scalars["env_steps"]
    assert row.scalars["env_steps"] >= 120
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_an_error_in_a_process_is_told_here():
    task, c = make_task("point_mass"), me_trpo.Config(**SMALL)
    begun = begun_of(OnPolicy(task, c, np.random.default_rng(0), None))
    post = Post("processes", partial(Fitter, task, c), lambda: begun, np.random.default_rng(0))
    try:
        post.put({"again": True})  # there is nothing to fit to
        with pytest.raises(InputError, match="the replay buffer is empty"):
            answer(post)
    finally:
        post.end()
