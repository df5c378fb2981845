# ruff: noqa: E402 (thread limits must be set before numpy is imported)
"""What structure is worth: graph networks of swimmers and billiards, and plans in them.

    python -m benchmarks.structure [PART ...] [--seeds 5] [--first 0]

Parts: links, single, mpc, billiards, perceptron, hard, glimpses, whole, push. Every seed is printed as it
is done, then the means. CPU seconds are of one thread.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

from agents.mpc.steps.saving import TaskMPC
from agents.planners import CEM, ICEM
from agents.planners.models import LearnedModel, SimulatorModel
from agents.rollout import rollout, run
from agents.tasks.classic.billiards import FORCE, RADIUS, Billiards, closest, straight_on
from agents.tasks.mujoco.links import Links, middles_of
from benchmarks.parts import run_parts
from dynamics import GraphNetwork, Network
from dynamics.graphs.objects import FRAMES, ObjectGlimpses, paint

Array = np.ndarray
Rows = Iterator[tuple[str, float]]
Step = Callable[[Array, Array], Array]

SWIMMER: dict[str, Any] = {  # chosen on seed 10, as all settings here are on seeds from 10 on
    "rounds": 4,
    "hidden": (32,),
    "width": 24,
    "learning_rate": 6e-3,
    "batch": 64,
    "steps": 350,
    "unroll_steps": 150,
}
DISKS: dict[str, Any] = {
    "rounds": 1,
    "hidden": (64,),
    "learning_rate": 4e-3,
    "batch": 128,
    "steps": 1000,
    "unroll_steps": 120,
}
PLANNER = ICEM(samples=40, elites=10, iterations=3)


def swum(links: int, episodes: int, steps: int, rng: np.random.Generator, held: int = 1) -> Any:
    """Returns a task, and episodes of uniformly random actions, each held for so many steps."""
    task, u = Links(links, horizon=steps), np.zeros(0)

    def act(x: Array, o: Array, t: int) -> Array:
        nonlocal u
        if t % held == 0:
            u = rng.uniform(task.action_low, task.action_high, (len(x), task.du))
        return u

    return task, run(task, act, np.zeros(episodes, int), rng)


def swimmer_model(
    rng: np.random.Generator, links: tuple[int, ...] = (3, 4, 5), held: int = 1, **settings: Any
) -> GraphNetwork:
    """Returns a graph network of 150 episodes of 60 steps of each swimmer."""
    model, data = GraphNetwork(**SWIMMER | settings), []
    for n in links:
        task, found = swum(n, 150, 60, rng, held)
        data.append((task.graph, *found.transitions))
    model.fit_graphs(data, rng)
    return model


def open_loop(step: Step, x0: Array, U: Array) -> Array:
    """Returns states (N, T+1, dx) from x0 (N, dx) under actions (N, T, du)."""
    X = [x0]
    for t in range(U.shape[1]):
        X.append(step(X[-1], U[:, t]))
    return np.stack(X, 1)


def apart(a: Array, b: Array) -> Array:
    """Returns the mean distance between places (N, T+1, n, 2) at each step, (T+1,)."""
    far: Array = np.linalg.norm(a - b, axis=-1).mean((0, 2))
    return far


def judged_swimmers(model: GraphNetwork, seed: int) -> Rows:
    """Errors of the links' places, from step 20 of 30 episodes on: of the model, where nothing
    moves, and where all go on as they do.
    """
    for n in (3, 5, 6, 8):
        task, found = swum(n, 30, 101, np.random.default_rng([seed, n]))
        x, u = found.x[:, 20:101], found.u[:, 20:100]
        true, before = middles_of(x), middles_of(found.x[:, 19:20])
        error = apart(middles_of(open_loop(model.on(task.graph).mean, x[:, 0], u)), true)
        still = apart(true[:, :1], true)
        ahead = true[:, :1] + np.arange(81)[:, None, None] * (true[:, :1] - before)
        straight = apart(ahead, true)
        for k in (20, 80):
            yield f"{n} links, {k} steps: error (m)", error[k]
            yield f"{n} links, {k} steps: error / standing still", error[k] / still[k]
            yield f"{n} links, {k} steps: error / constant velocity", error[k] / straight[k]


def links(seed: int) -> Rows:
    """Swimmers of 3, 4 and 5 links teach one network, single steps first, then six at a time."""
    begun = time.process_time()
    model = swimmer_model(np.random.default_rng(seed))
    yield "training (CPU s)", time.process_time() - begun
    yield from judged_swimmers(model, seed)


def single(seed: int) -> Rows:
    """The same by single steps alone, for as long."""
    begun = time.process_time()
    model = swimmer_model(np.random.default_rng(seed), steps=1350, unroll_steps=0)
    yield "training (CPU s)", time.process_time() - begun
    yield from judged_swimmers(model, seed)


def mpc(seed: int) -> Rows:
    """Plans of 25 steps in a network that has seen swimmers of 3, 4 and 6 links, pushed at random,
    in episodes of 60 steps, beside those in the true dynamics.
    """
    model = swimmer_model(np.random.default_rng(seed), links=(3, 4, 6), held=4)
    for n in (3, 5):
        task = Links(n, horizon=60)
        worlds = {
            "graph": LearnedModel(model.on(task.graph)),
            "true dynamics": SimulatorModel(task),
        }
        got = {}
        for name, world in worlds.items():
            policy = TaskMPC(task, world, PLANNER, "graph", 25)
            found = rollout(task, policy, np.zeros(1, int), 1, np.random.default_rng(seed))
            got[name] = -found.costs.mean()
            yield f"{n} links, {name}: return", got[name]
        yield f"{n} links: share of the return", got["graph"] / got["true dynamics"]


def rolled(
    task: Billiards, count: int, steps: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Returns states (count, steps + 1, 4n) and forces, of which half begin with a push."""
    U = np.zeros((count, steps, 2))
    U[: count // 2, 0] = rng.uniform(-FORCE, FORCE, (count // 2, 2))
    return open_loop(task.advance, task.layouts(count, rng), U), U


def places(X: Array) -> Array:
    """Returns the places (..., n, 2) of states (..., 4n)."""
    p: Array = X[..., : X.shape[-1] // 2]
    return p.reshape(*p.shape[:-1], -1, 2)


def shares(told: Array, X: Array, task: Billiards, steps: tuple[int, ...]) -> Rows:
    """Yields the errors of places told (N, T+1, n, 2) along true states X (N, T+1, 4n), as shares
    of those of constant velocities that walls turn round, and of those of disks that are alone on
    the table.
    """
    T = told.shape[1] - 1
    plain = np.stack([straight_on(X[:, 0], k) for k in range(T + 1)], 1)
    alone = open_loop(task.advance_alone, X[:, 0], np.zeros((len(X), T, 2)))
    error = apart(told, places(X))
    for name, other in (("constant velocity and walls", plain), ("each alone", alone)):
        for k in steps:
            share = error[k] / apart(places(other), places(X))[k]
            yield f"{task.balls} balls, {k} steps: error / {name}", share


def table_errors(step: Step, task: Billiards, seed: int) -> Rows:
    """Errors after 20 and 50 steps of 100 episodes."""
    rng, still = np.random.default_rng([seed, task.balls]), np.zeros((100, 50, 2))
    X = open_loop(task.advance, task.layouts(100, rng), still)
    yield from shares(places(open_loop(step, X[:, 0], still)), X, task, (20, 50))


def transitions(X: Array, U: Array) -> tuple[Array, Array, Array]:
    """Returns x, u, x' (M, .) of episodes, one after the other."""
    x, after = (a.reshape(-1, X.shape[-1]) for a in (X[:, :-1], X[:, 1:]))
    return x, U.reshape(-1, U.shape[-1]), after


def disks_model(task: Billiards, rng: np.random.Generator) -> GraphNetwork:
    """Returns an interaction network of 1000 episodes of 50 steps."""
    data = transitions(*rolled(task, 1000, 50, rng))
    model = GraphNetwork(**DISKS)
    model.fit_graphs([(task.graph, *data)], rng)
    return model


def billiards(seed: int) -> Rows:
    """An interaction network of three soft disks, on them and on six."""
    task, begun = Billiards(3), time.process_time()
    model = disks_model(task, np.random.default_rng(seed))
    yield "training (CPU s)", time.process_time() - begun
    for where in (task, Billiards(6)):  # six are never seen
        yield from table_errors(model.on(where.graph).mean, where, seed)


def perceptron(seed: int) -> Rows:
    """A network of all numbers of three disks, from the same transitions."""
    task, rng, begun = Billiards(3), np.random.default_rng(seed), time.process_time()
    model = Network((128, 128), steps=2500, batch=256, reject_outliers=False)
    model.fit(*transitions(*rolled(task, 1000, 50, rng)), rng)
    yield "training (CPU s)", time.process_time() - begun
    yield from table_errors(model.mean, task, seed)


def hard(seed: int) -> Rows:
    """The same of disks a hundred times as stiff, which touch for a quarter of a step."""
    task = Billiards(3, stiffness=2e5)
    model = disks_model(task, np.random.default_rng(seed))
    yield from table_errors(model.mean, task, seed)


def films(task: Billiards, count: int, steps: int, rng: np.random.Generator) -> tuple[Array, ...]:
    """Returns states, places, forces on each disk and pictures; half of the episodes have a push in
    their fourth step, the first that is predicted.
    """
    U = np.zeros((count, steps, 2))
    U[: count // 2, FRAMES - 1] = rng.uniform(-FORCE, FORCE, (count // 2, 2))
    X = open_loop(task.advance, task.layouts(count, rng), U)
    forces = np.zeros((count, steps, task.balls, 2))
    forces[:, :, 0] = U
    pictures = np.concatenate([paint(places(x), 48, RADIUS) for x in np.array_split(X, 20)])
    return X, places(X), forces, pictures


def glimpses(seed: int, whole: bool = False) -> Rows:
    """Glimpses of 15 x 15 of pictures of 48 x 48 of three disks; places are known in the first four."""
    rng, now, begun = np.random.default_rng(seed), FRAMES - 1, time.process_time()
    _, P, F, V = films(Billiards(3), 300, 50, rng)
    model = ObjectGlimpses(whole=whole, steps=1500)
    model.fit(V, P, F, rng)
    yield "training (CPU s)", time.process_time() - begun
    yield "parameters", sum(a.size for a in model.params.values())
    for balls in (3, 6):  # six are never seen
        task = Billiards(balls)
        X, p, f, v = films(task, 120, 24, np.random.default_rng([seed, balls]))
        told = model.imagine(v[60:, :FRAMES], p[60:, :FRAMES], f[60:, now : now + 20])
        yield from shares(told, X[60:, now : now + 21], task, (20,))


def whole(seed: int) -> Rows:
    """The same by a network as large that looks at the whole pictures, and is told which disk."""
    yield from glimpses(seed, whole=True)


def push(seed: int, tries: int = 50, steps: int = 25) -> Rows:
    """How often one push, of disks at rest, makes the first meet the second within half a second:
    found by the cross-entropy method in the network, in the true dynamics, and drawn at random.
    """
    model, rng = disks_model(Billiards(3), np.random.default_rng(seed)), np.random.default_rng(seed)
    for balls in (3, 6):
        task = Billiards(balls, still=True)
        starts = task.layouts(tries, np.random.default_rng([seed, balls]))
        hits: dict[str, list[float]] = {
            "in the network": [],
            "in the true dynamics": [],
            "at random": [],
        }
        worlds: tuple[Step, Step] = (model.on(task.graph).mean, task.advance)
        for s in starts:
            pushes = [found_push(search(), step, task, s, steps, rng) for step in worlds]
            pushes.append(rng.uniform(task.action_low, task.action_high))
            near = nearest(task.advance, s, np.stack(pushes), steps)
            for name, far in zip(hits, near, strict=True):
                hits[name].append(float(far < 2 * RADIUS))
        for name, all_of in hits.items():
            yield f"{balls} balls, push found {name}: hits", np.mean(all_of)


def search() -> CEM:
    """Returns what finds a push."""
    return CEM(samples=64, elites=8, iterations=3, best=True)


def found_push(
    planner: CEM, step: Step, task: Billiards, s: Array, steps: int, rng: np.random.Generator
) -> Array:
    """Returns the force (2,) after which the first disk comes nearest to the second."""

    def objective(U: Array) -> Array:
        return nearest(step, s, U[:, 0], steps)

    start = np.zeros((0, 1, 2))
    found: Array = planner(objective, start, task.action_low, task.action_high, rng).U[0]
    return found


def nearest(step: Step, s: Array, pushes: Array, steps: int) -> Array:
    """Returns how near the first disk comes to the second from s (4n,) after each push (N, 2),
    (N,).
    """
    U = np.zeros((len(pushes), steps, 2))
    U[:, 0] = pushes
    return closest(open_loop(step, np.tile(s, (len(pushes), 1)), U))


PARTS: dict[str, Callable[[int], Rows]] = {
    "links": links,
    "single": single,
    "mpc": mpc,
    "billiards": billiards,
    "perceptron": perceptron,
    "hard": hard,
    "glimpses": glimpses,
    "whole": whole,
    "push": push,
}


if __name__ == "__main__":
    run_parts("structure", __doc__, PARTS)
