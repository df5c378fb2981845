"""Learning to act by predicting the future, and what it is held against.

    python -m benchmarks.prediction [PART ...] [--seeds 5] [--first 0]

Parts: gather (goals that vary in training, and four goals at test), single (health alone in
training), value (a network of the same size that learns the value of health by Q-learning). The
mean health, food and poison at the end of 64 test episodes; CPU seconds are of one thread.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from agents.imagination import dfp
from agents.learners.relu_networks import ReluNetworks
from agents.policies.future import FuturePolicy
from agents.rollout import Act, rollout, run
from agents.rollout.running import run_rows
from agents.tasks.classic.gather import AROUND, Gather
from benchmarks.parts import run_parts
from experiments.configs import dfp_gather

Array = np.ndarray
GOALS = {"health": (1, 0, 0), "food": (0, 1, 0), "poison": (0, 0, 1), "neither": (0, -1, -1)}
EPISODES, SEED = 64, 1000  # of the test, the same starts for all
Rows = Iterator[tuple[str, Array]]


def ends(task: Gather, policy: FuturePolicy, goal: tuple[float, ...]) -> Array:
    """Returns mean health, food and poison at the end of the test episodes, noise-free."""
    rng = np.random.default_rng(SEED)
    actor = policy.with_goal(goal) if len(policy.goal) > 1 else policy
    found = rollout(task, actor, np.zeros(1, int), EPISODES, rng, noise=0.0)
    mean: Array = task.measure(found.x[:, -1]).mean(0)
    return mean


def acting(task: Gather, act: Act) -> Array:
    """Returns the same of a rule."""
    found = run(task, act, np.zeros(EPISODES, int), np.random.default_rng(SEED))
    mean: Array = task.measure(found.x[:, -1]).mean(0)
    return mean


def greedy(o: Array, wanted: int, rng: np.random.Generator) -> Array:
    """Returns moves (B, 1) towards the nearest piece in sight, food (0) or poison (1), at random
    where there is none.
    """
    width = 2 * AROUND + 1
    down, right = (a.ravel() for a in np.mgrid[-AROUND : AROUND + 1, -AROUND : AROUND + 1])
    seen = o[:, wanted * width**2 : (wanted + 1) * width**2] > 0
    away = np.where(seen, np.abs(down) + np.abs(right), 99)
    i = away.argmin(1)
    across = np.abs(right[i]) > np.abs(down[i])
    move = np.where(across, np.where(right[i] > 0, 1, 3), np.where(down[i] > 0, 2, 0))
    return np.where(away.min(1) < 99, move, rng.integers(4, size=len(o)))[:, None] + 0.5


def gathered(seed: int, **more: Any) -> Rows:
    """Goals that vary in training; four goals at test, beside random moves and a greedy rule."""
    task, rng = Gather(), np.random.default_rng(SEED)
    config = replace(dfp_gather.config, evaluate_every=0, **more)
    *_, last = dfp.train(task, config, np.random.default_rng(seed))
    for name, goal in GOALS.items():
        yield f"goal {name}", ends(task, last.policy, goal)
    yield "random moves", acting(task, lambda x, o, t: rng.integers(4, size=(len(o), 1)) + 0.5)
    yield "nearest food", acting(task, lambda x, o, t: greedy(o, 0, rng))
    yield "nearest poison", acting(task, lambda x, o, t: greedy(o, 1, rng))


def single(seed: int) -> Rows:
    """Health alone in training: the policy does not understand another goal."""
    for name, found in gathered(seed, training_goals="fixed"):
        if name in ("goal health", "goal poison"):
            yield name, found


def valued(seed: int, discount: float = 0.95, rounds: int = 30) -> Rows:
    """Deep Q-learning (Mnih et al. 2015) of health in as many steps and updates, with a network of the
    same hidden layers, whose target network is replaced after each round.
    """
    task, rng, c = Gather(), np.random.default_rng(seed), dfp_gather.config
    net = ReluNetworks((task.do, *c.hidden, 4), 1, rng)
    old, memory = ReluNetworks(net.sizes, 1, rng), dict[str, Array]()
    scale = np.where(np.arange(task.do) < task.do - 3, 1.0, 0.5)
    for number in range(rounds):
        share = 1 - (1 - c.epsilon) * number / (rounds - 1)
        old.flat[:] = net.flat
        random = rng.random((c.samples, task.horizon)) < share
        moves = rng.integers(4, size=random.shape)

        def act(x: Array, o: Array, t: int, rows: slice, random=random, moves=moves) -> Array:  # type: ignore[no-untyped-def]
            best = net.forward((o / scale).astype(np.float32))[0].argmax(1)
            moves[rows, t] = np.where(random[rows, t], moves[rows, t], best)
            return task.moves[moves[rows, t]]

        found = run_rows(task, act, np.zeros(c.samples, int), rng)
        new = {
            "o": (found.o[:, :-1] / scale).reshape(-1, task.do).astype(np.float32),
            "after": (found.o[:, 1:] / scale).reshape(-1, task.do).astype(np.float32),
            "move": moves.ravel(),
            "reward": (found.x[:, 1:, 3] / 6).ravel().astype(np.float32),
        }
        memory = {k: np.concatenate([memory.get(k, a[:0]), a])[-c.memory :] for k, a in new.items()}
        for _ in range(c.updates):
            i = rng.integers(len(memory["move"]), size=c.batch)
            ahead = old.forward(memory["after"][i])[0].max(1)
            out, each = net.forward(memory["o"][i]), np.arange(c.batch)
            slope, move = np.zeros_like(out), memory["move"][i]
            error = out[0, each, move] - memory["reward"][i] - np.float32(discount) * ahead
            slope[0, each, move] = 2 * error / c.batch
            net.backward(slope)
            net.step(c.rate)
    yield (
        "Q-learning of health",
        acting(
            task,
            lambda x, o, t: task.moves[net.forward((o / scale).astype(np.float32))[0].argmax(1)],
        ),
    )


PARTS: dict[str, Callable[[int], Rows]] = {"gather": gathered, "single": single, "value": valued}


if __name__ == "__main__":
    run_parts("prediction", __doc__, PARTS)
