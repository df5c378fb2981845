"""A robot in real time: ticks, limits, emergencies, and what a person answers."""

import gc
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from carts import DT, Cart, Device, SerialCart, after, cart

from agents.interfaces import StoppedByUser
from agents.rollout import rollout, run
from agents.tasks.adapters.gymnasium_env import TaskEnv
from agents.tasks.adapters.robot import EmergencyStop, prompt
from agents.tasks.base.wrapper import Wrapper
from gps import lqr_flm
from lqr import InputError, LinearGaussianController, SimulationError

BOTH = np.array([0, 1, 1])


def controllers(std=0.3):
    K = np.tile([[[-3.0, -2.0]]], (2, 20, 1, 1))
    return LinearGaussianController(K, np.zeros((2, 20, 1)), np.full((2, 20, 1, 1), std**2))


class Noisy:
    """A policy that adds noise."""

    def sample(self, o, t, rng):
        return -o.sum(1, keepdims=True) + (0 if rng is None else rng.standard_normal((len(o), 1)))


def emergency(driver):
    raise EmergencyStop("a hand in the way")


@pytest.mark.filterwarnings("ignore:.* actions were late")  # the machine may be busy
def test_a_noisy_cart_at_a_serial_line_is_learned_in_few_episodes():
    device = Device(noise=1e-3, quantum=1e-3, latency=1e-4)
    task = cart(SerialCart(device.path), dt=0.002, patience=60.0)
    config = lqr_flm.Config(
        iterations=5, samples=3, initial_std=0.02, min_std=0.001, max_kl_step=1000.0
    )
    costs = [i.scalars["cost"] for i in lqr_flm.train(task, config, np.random.default_rng(0))]
    assert costs[-1] < 0.6 * costs[0]
    task.driver.read()  # by then the device has heard all before
    assert device.said.count("!") == sum(line.startswith("p") for line in device.said)
    task.driver.port.close()
    device.close()


def test_each_action_goes_out_at_its_tick_however_long_the_actor_thinks_within_its_share():
    driver = Cart()
    task, rng = driver.task(lead=0.25), np.random.default_rng(0)

    def act(x, o, t):
        driver.clock.now += 0.24 * DT * rng.random()
        return np.ones((1, 1))

    run(task, act, np.zeros(1, int), rng)
    times = np.array([now for now, _ in driver.episodes[-1]])
    np.testing.assert_allclose(times, times[0] + DT * np.arange(20), rtol=0, atol=1e-9)
    assert task.metrics(np.zeros((3, 21, 2)), np.zeros((3, 20, 1)))["missed_deadlines"].shape == (
        3,
    )
    assert task.metrics(np.zeros((3, 21, 2)), np.zeros((3, 20, 1)))["missed_deadlines"].sum() == 0


def test_what_is_late_is_counted_and_no_action_is_held_for_less_than_a_period():
    def stall(driver):
        driver.clock.now += 2.75 * DT

    driver = Cart({5: stall, 9: stall, 20: stall})
    task = driver.task(lead=0.25)
    with pytest.warns(UserWarning, match="3 of 20 actions were late"):
        run(task, lambda x, o, t: np.ones((1, 1)), np.zeros(1, int), np.random.default_rng(0))
    told = task.metrics(np.zeros((1, 21, 2)), np.zeros((1, 20, 1)))
    assert told["missed_deadlines"] == 3
    np.testing.assert_allclose(told["lateness_total"], 3 * 2 * DT)  # 0.75 of a period was to spare
    np.testing.assert_allclose(told["lateness_worst"], 2 * DT)
    times = np.array([now for now, _ in driver.episodes[-1]])
    assert np.diff(times).min() > DT * (1 - 1e-9)
    task.begin_iteration(2)
    assert task.metrics(np.zeros((1, 21, 2)), np.zeros((1, 20, 1)))["missed_deadlines"] == 0


def test_a_method_that_wants_more_gets_the_limits_of_actions_and_rates():
    config = lqr_flm.Config(iterations=2, samples=2, initial_std=50.0)
    driver = Cart()
    task = driver.task(action_low=[-2], action_high=[3], rate_limit=0.5, rest=0.2)
    list(lqr_flm.train(task, config, np.random.default_rng(0)))
    assert len(driver.forces) >= 4
    changes = np.concatenate([np.diff(u, prepend=0.2) for u in driver.forces])
    assert np.abs(changes).max() <= 0.5 + 1e-12
    assert np.abs(changes).max() > 0.49  # somebody wanted more
    assert np.concatenate(driver.forces).max() <= 3.0
    assert np.concatenate(driver.forces).min() >= -2.0


def test_what_is_recorded_is_what_was_applied():
    driver = Cart()
    task = driver.task(rate_limit=0.5)
    wanted = lambda x, o, t: np.full((1, 1), 7.0)  # noqa: E731
    for seen in (task, Wrapper(task)):
        found = run(seen, wanted, np.zeros(1, int), np.random.default_rng(0))
        np.testing.assert_allclose(found.u[0, :, 0], np.minimum(0.5 * np.arange(1, 21), 7.0))
        np.testing.assert_array_equal(found.u[0, :, 0], driver.forces[-1])
        for t in range(20):
            np.testing.assert_array_equal(found.x[0, t + 1], after(found.x[0, t], found.u[0, t, 0]))


def press(driver):
    driver.emergency = True


def release_then_place(driver):
    def place(condition):
        driver.emergency = False
        driver.place(condition)

    return place


def fly(driver):
    driver.x = np.array([7.0, 0.0])


def unplug(driver):
    raise OSError("the cable is out")


def garble(driver):
    driver.x = np.array([np.nan, 0.0])


def interrupt(driver):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.001)


@pytest.mark.parametrize("happens", [emergency, press, fly, unplug, garble, interrupt])
@pytest.mark.parametrize("actor", [controllers(), Noisy()], ids=["controllers", "policy"])
@pytest.mark.parametrize("number", [1, 27, 60])
def test_an_emergency_stops_the_robot_and_the_episode_is_repeated_as_if_nothing_had_been(
    happens, actor, number, capsys
):
    def episodes(at):
        driver = Cart(at)
        task = driver.task(x_high=5.0, put_back=release_then_place(driver))
        rng = np.random.default_rng(3)
        found = rollout(task, actor, np.arange(2), 2, rng)
        return driver, task, found, rng.random()

    _, _, undisturbed, draw = episodes({})
    driver, task, found, same = episodes({number: happens})
    for a, b in zip(found, undisturbed, strict=True):
        np.testing.assert_array_equal(a, b)
    assert same == draw
    assert driver.count == 80 + 1 + (number - 1) % 20  # of the discarded episode
    assert not driver.moving
    assert task.metrics(found.x, found.u)["discarded_episodes"][0] == 1
    assert "the episode discarded" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_the_actor_thinks_stops_the_robot_at_once():
    driver = Cart()
    task, stopped = driver.task(), []

    def act(x, o, t):
        if t == 4 and not stopped:
            os.kill(os.getpid(), signal.SIGINT)
            stopped.append(not driver.moving)
        return np.ones((1, 1))

    run(task, act, np.zeros(1, int), np.random.default_rng(0))
    assert stopped == [True]
    assert [len(u) for u in driver.forces] == [4, 20]


@pytest.mark.parametrize("presses", [1, 2, 3])
def test_ctrl_c_does_not_break_off_a_stop_but_one_that_hangs(presses):
    """The first comes while the driver commands, the others while it stops."""
    said = []

    class Slow(Cart):
        def stop(self):
            for _ in range(presses - 1):
                if said and len(said) < presses:
                    said.append("again")
                    interrupt(self)
            super().stop()

    def first(driver):
        said.append("first")
        interrupt(driver)

    driver = Slow({3: first})
    if presses == 3:
        with pytest.raises(KeyboardInterrupt):
            rollout(driver.task(), controllers(), np.arange(2), 1, np.random.default_rng(0))
    else:
        rollout(driver.task(), controllers(), np.arange(2), 1, np.random.default_rng(0))
        assert [len(u) for u in driver.forces] == [3, 20, 20]
    assert len(said) == presses
    assert not driver.moving
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_actor_that_does_not_answer_has_the_robot_stopped():
    driver = Cart()
    task, hangs = driver.task(patience=0.05, attempts=1000), [True]

    def act(x, o, t):
        while t == 4 and hangs and driver.moving:
            time.sleep(0.005)
        if t == 4:
            hangs.clear()
        return np.ones((1, 1))

    handler = signal.getsignal(signal.SIGALRM)
    try:
        run(task, act, np.zeros(1, int), np.random.default_rng(0))
    finally:
        assert signal.getsignal(signal.SIGALRM) is handler
    assert 4 in [len(u) for u in driver.forces]
    assert len(driver.forces[-1]) == 20


def test_a_signal_to_end_stops_the_robot_and_the_run():
    driver = Cart({3: lambda driver: os.kill(os.getpid(), signal.SIGTERM)})
    with pytest.raises(StoppedByUser, match="stopped by hand"):
        rollout(driver.task(), controllers(), np.arange(2), 1, np.random.default_rng(0))
    assert not driver.moving
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_ctrl_c_ends_the_run_where_nobody_is_asked():
    driver = Cart({3: interrupt})
    driver.episodes.append([])
    driver.place = None
    with pytest.raises(StoppedByUser):
        rollout(driver.task(), controllers(), np.arange(2), 1, np.random.default_rng(0))
    assert not driver.moving


def test_emergencies_in_a_row_end_the_run():
    driver = Cart(dict.fromkeys((1, 2, 3, 4), unplug))
    with pytest.raises(SimulationError, match=r"4 episodes in a row .*the cable is out"):
        rollout(driver.task(attempts=4), controllers(), np.arange(2), 1, np.random.default_rng(0))
    assert driver.count == 4
    assert not driver.moving


def test_an_error_of_the_actor_stops_the_robot():
    driver = Cart()

    def act(x, o, t):
        if t == 4:
            raise ZeroDivisionError
        return np.ones((1, 1))

    with pytest.raises(InputError, match="the actor failed with ZeroDivisionError"):
        run(driver.task(), act, np.zeros(1, int), np.random.default_rng(0))
    assert driver.count == 4
    assert not driver.moving
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_robot_is_moved_outside_an_episode_or_by_what_is_no_number():
    driver = Cart()
    task = driver.task()
    with pytest.raises(InputError, match="in an episode that goes on"):
        task.step(np.ones((1, 1)))
    task.reset(np.zeros(1, int), np.random.default_rng(0))
    task.step(np.ones((1, 1)))
    with pytest.raises(InputError, match="expected finite numbers"):
        task.step(np.full((1, 1), np.nan))
    assert not driver.moving
    with pytest.raises(InputError, match="in an episode that goes on"):
        task.step(np.ones((1, 1)))
    assert driver.count == 1


def test_a_robot_that_is_forgotten_is_stopped():
    driver = Cart()
    task = driver.task()
    task.reset(np.zeros(1, int), np.random.default_rng(0))
    task.step(np.ones((1, 1)))
    assert driver.moving
    del task
    gc.collect()
    assert not driver.moving
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_that_ends_in_mid_episode_stops_the_robot():
    code = """
import sys
import numpy as np
from carts import Cart

class Telling(Cart):
    def stop(self):
        super().stop()
        print("stopped")

task = Telling().task()
task.reset(np.zeros(1, int), np.random.default_rng(0))
task.step(np.ones((1, 1)))
sys.exit(7)
"""
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[3])])
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout) == (7, "stopped\n"), ended.stderr


def test_the_last_episode_can_be_repeated_and_the_others_are_as_they_were():
    def episodes(answers):
        driver, said = Cart(), list(answers)

        def put_back(condition):
            driver.place(condition)
            return said.pop(0) if said else "go"

        task = driver.task(put_back=put_back)
        rng = np.random.default_rng(3)
        found = rollout(task, Noisy(), np.arange(2), 2, rng)
        return found, len(driver.forces), rng.random()

    plain, four, draw = episodes([])
    again, six, same = episodes(["go", "go", "repeat", "go", "repeat", None])
    assert (four, six) == (4, 6)
    assert draw == same
    for a, b in zip(again, plain, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_episode_that_was_learned_from_cannot_be_repeated(capsys):
    driver, answers = Cart(), ["go", "repeat", "go"]
    task = driver.task(put_back=lambda c: driver.place(c) or answers.pop(0))
    for _ in range(2):
        run(task, lambda x, o, t: np.ones((1, 1)), np.zeros(1, int), np.random.default_rng(0))
    assert "was learned from" in capsys.readouterr().err
    assert not answers


def test_another_answer_is_refused():
    driver = Cart()
    with pytest.raises(InputError, match="put_back gave 'yes'; expected go, repeat, stop"):
        driver.task(put_back=lambda c: "yes").reset(np.zeros(1, int), np.random.default_rng(0))


def test_the_prompt_understands_three_answers_and_the_end_of_the_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\nwhat\nR\ns\n"))
    assert [prompt(c) for c in range(4)] == ["go", "repeat", "stop", "stop"]
    assert "condition 1" in capsys.readouterr().err


def test_a_gymnasium_environment_around_it_cuts_off_what_is_discarded():
    driver = Cart({24: emergency})
    env = TaskEnv(driver.task(rate_limit=0.5))
    for length in (20, 4, 20):
        env.reset(seed=0)
        ends = [env.step([1.0])[3] for _ in range(length)]
        assert ends == [False] * (length - 1) + [True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_limit": 0.0},
        {"rate_limit": [1.0, 2.0]},
        {"rest": np.nan},
        {"lead": 1.0},
        {"patience": 0.0},
        {"attempts": 0},
        {"dt": 0.0},
        {"x_low": [0.0, 1.0, 2.0]},
        {"x_low": np.nan},
        {"x_low": 1.0, "x_high": -1.0},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError):
        Cart().task(**wrong)


def test_the_policy_may_see_something_else_than_x():
    driver = Cart()
    driver.observe = lambda: [driver.x[0], 1.0, 2.0]
    task = driver.task()
    found = rollout(task, controllers(), np.arange(2), 1, np.random.default_rng(0))
    assert task.do == 3
    np.testing.assert_array_equal(found.o[..., 0], found.x[..., 0])
    np.testing.assert_array_equal(found.o[..., 1:], np.broadcast_to([1.0, 2.0], (2, 21, 2)))


def test_an_episode_may_end_by_itself():
    def fall(driver):
        driver.over = True

    driver = Cart({7: fall})

    def place(condition):
        driver.over = False
        driver.place(condition)

    task = driver.task(put_back=place)
    found = rollout(task, controllers(), np.arange(2), 1, np.random.default_rng(0))
    assert found.length.tolist() == [7, 20]
    assert driver.stops == 2
