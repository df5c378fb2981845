"""Many teachers, one policy: what each method of `gps.multitask` is worth, and what it is held against.

    python -m benchmarks.teachers [PART ...] [--seeds 5] [--first 0]

Parts: distral, transfer, distillation, grid, ensemble, mimic, dnc. Every seed is printed as it is
done, then the means. CPU seconds are of one thread.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from agents.baselines import trpo
from agents.policies.tabular import TabularPolicy
from agents.rollout import rollout, run
from agents.tasks import make_task
from benchmarks.parts import run_parts
from dynamics import Ensemble
from experiments.configs import reacher_dnc, reacher_mimic, reacher_tasks, rooms
from gps.multitask import actor_mimic, distral, dnc, policy_distillation
from gps.multitask.steps.discrete import MoveNetwork, soft_targets
from gps.multitask.steps.teachers import Teachers

Array = np.ndarray
Rows = Iterator[tuple[str, float]]
SOFT_Q = {
    "kl_cost": 0.0,
    "entropy_cost": 0.05,
}  # chosen on seeds 10 to 12, as Distral's weights are


def judged(task: Any, policy: Any, episodes: int = 50) -> Array:
    """Returns the mean cost in each condition of noise-free episodes, the same for all policies."""
    every, rng = np.arange(task.conditions), np.random.default_rng(1000)
    found = rollout(task, policy, every, episodes, rng, noise=0.0)
    costs: Array = found.costs.reshape(task.conditions, episodes).mean(1)
    return costs


def steps_of(
    config: Any, goals: tuple[int, ...], seed: int, state: Any = None
) -> tuple[Array, Any]:
    """Returns the steps of an episode in each iteration, and the last state."""
    task, rng = make_task("rooms", goals=goals), np.random.default_rng(seed)
    rows = list(distral.train(task, replace(config, evaluate_every=0), rng, state))
    return np.array([row.scalars["episode_steps"] for row in rows]), rows[-1].state


def four_goals(seed: int) -> Rows:
    """Distral and soft Q-learning of four goals: mean steps of 50 iterations, and of the last ten."""
    for name, more in (("distral", {}), ("soft Q", SOFT_Q)):
        steps, _ = steps_of(replace(rooms.config, **more), (0, 1, 2, 3), seed)
        yield f"{name}: all", steps.mean()
        yield f"{name}: last ten", steps[-10:].mean()


def fifth_goal(seed: int, level: float = 40.0) -> Rows:
    """Environment steps until five episodes in a row take at most `level` steps in the mean, with
    the shared policy of four other goals after 100 iterations, and by soft Q-learning from nothing.
    """
    known = replace(rooms.config, iterations=100)
    _, state = steps_of(known, (0, 1, 2, 3), seed)
    for name, more, begun in (("distral", {"memory": 0.99}, state), ("soft Q", SOFT_Q, None)):
        count = known.iterations if begun else 0
        config = replace(rooms.config, iterations=count + 150, **more)
        steps, _ = steps_of(config, (4,), seed + 100, begun)
        mean = np.convolve(steps, np.ones(5) / 5, "valid")
        held = mean <= level
        at = int(held.argmax()) + 5 if held.any() else len(steps)
        yield f"{name}: steps to {level:.0f}", steps[:at].sum()
        yield f"{name}: first five", steps[:5].mean()


def temperatures(seed: int) -> Rows:
    """Steps to the goals of a network of 11 inputs and 2 x 24 units (988 numbers) that is distilled from
    tables of 2800 values, beside those of the tables, by the temperature in deviations of the values of
    a cell's moves. Cells that were never tried teach nothing.
    """
    config = replace(rooms.config, iterations=300, evaluate_every=0)
    task, goals = make_task("rooms"), np.arange(4)
    *_, last = distral.train(task, config, np.random.default_rng(seed))
    Q = last.state["tables"]["values"]["Q"].reshape(25, 7, 8, 4)[:, :, goals]
    c, r, g = np.meshgrid(np.arange(25), np.arange(7), goals, indexing="ij")
    place = np.stack([c / 12 - 1, r / 3 - 1], -1)
    x = np.concatenate(
        [place, np.eye(4)[g], place[..., :1] * np.eye(4)[g], place[..., :1] ** 2], -1
    )
    x, values = x.reshape(-1, x.shape[-1]), Q.reshape(-1, 4)
    tried = (values != 0).any(1)
    unit = np.median(values[tried].std(1))
    yield "the tables themselves", steps_to_goals(last.policy)
    for temperature in (0.01, 0.1, 0.3, 1.0, 3.0, 10.0):
        rng = np.random.default_rng(seed)
        student = MoveNetwork(x.shape[1], (24, 24), 4, rng)
        targets = soft_targets(values, temperature * unit)
        student.fit(x[tried], targets[tried], rng, steps=6000)
        table = np.zeros((25, 7, 8), int)
        table[:, :, goals] = student.logits(x).argmax(1).reshape(25, 7, 4)
        moves = task.moves[table.ravel()]
        made = TabularPolicy(last.policy.grid, moves, task.action_low, task.action_high)
        yield f"temperature {temperature}", steps_to_goals(made)


def steps_to_goals(policy: Any) -> float:
    """Returns the mean steps to the four goals from 25 starts each; 500 where it is not reached."""
    task = make_task("rooms")
    rng = np.random.default_rng(1000)
    found = rollout(task, policy, np.arange(4), 25, rng, noise=0.0)
    return float(found.length.mean())


def transitions(task: Any, episodes: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Returns transitions of random actions, with noise of a twentieth of the changes' deviation."""

    def act(x: Array, o: Array, t: int) -> Array:
        drawn: Array = rng.uniform(task.action_low, task.action_high, (len(x), task.du))
        return drawn

    found = run(task, act, np.arange(episodes) % task.conditions, rng)
    x, u, after = found.transitions
    return x, u, after + 0.05 * (after - x).std(0) * rng.standard_normal(x.shape)


def surprise(model: Any, x: Array, u: Array, after: Array) -> float:
    """Returns the mean negative log likelihood of transitions, nats, coordinates independent."""
    told = model.predict(x, u)
    var = np.diagonal(told.cov, axis1=-2, axis2=-1)
    return float((0.5 * ((after - told.mean) ** 2 / var + np.log(2 * np.pi * var))).sum(-1).mean())


def ensemble(seed: int) -> Rows:
    """Negative log likelihoods of 4000 transitions of the cart-pole that nobody saw: five networks that
    learned 800, their student at these and
    where the ensemble goes from there in 25 steps, a student of drawn labels at the
    same points, and one network on the 800 labels.
    """
    rng, task = np.random.default_rng(seed), make_task("cartpole")
    data, unseen = transitions(task, 20, rng), transitions(task, 100, rng)
    teacher = Ensemble()
    teacher.fit(*data, rng)
    x, points, actions = data[0], [data[0]], [data[1]]
    for _ in range(25):  # where the ensemble itself goes, by random actions
        u = rng.uniform(task.action_low, task.action_high, data[1].shape)
        x, points, actions = teacher.sample(x, u, rng), [*points, x], [*actions, u]
    points, actions = np.concatenate(points), np.concatenate(actions)
    student, labels, alone = (Ensemble(members=1, steps=n) for n in (2000, 2000, 1000))
    student.imitate(teacher, points, actions, rng)
    labels.fit(points, actions, teacher.sample(points, actions, rng), rng)
    alone.fit(*data, rng)
    for name, model in (
        ("ensemble of five", teacher),
        ("student, mean and variance", student),
        ("student, drawn labels", labels),
        ("one network on the data", alone),
    ):
        yield name, surprise(model, *unseen)


def distilled(seed: int) -> Rows:
    """Costs of teachers and student in each of four reachers, and of students of the same teachers that
    stay in the teachers' states, learn their mean actions alone, or see a tenth of the episodes.
    """
    config = replace(reacher_tasks.config, evaluate_every=0)
    task, taught = reacher_tasks.task(), config.iterations - config.rounds
    rng = np.random.default_rng(seed)
    for row in policy_distillation.train(task, config, rng):
        if row.number == taught:
            known, draws = row.state, rng.bit_generator.state
    students = {"student": row.policy}
    few = {"samples": 1}
    variants: tuple[tuple[str, dict[str, Any]], ...] = (
        ("in the teachers' states", {"acts": "teacher"}),
        ("means", {"soft": False}),
        ("a tenth of the episodes", few),
        ("a tenth of them, in the teachers' states", few | {"acts": "teacher"}),
    )
    for name, more in variants:
        again = np.random.default_rng()
        again.bit_generator.state = draws
        settings = replace(config, **more)
        *_, last = policy_distillation.train(task, settings, again, known)
        students[name] = last.policy
    teacher = teachers_cost(task, config, known, 50)
    for name, policy in students.items():
        costs = judged(task, policy)
        for i, pair in enumerate(zip(teacher, costs, strict=True)):
            yield f"{name}, task {i}: teacher's cost / its own", pair[0] / pair[1]
        yield f"{name}: mean cost", costs.mean()
    for i, cost in enumerate(teacher):
        yield f"teacher {i}: cost", cost
    sizes = [sum(a.size for a in (*p.weights, *p.biases)) for p in (row.policy,)]
    yield "parameters of the student", sizes[0]


def teachers_cost(task: Any, config: Any, state: Any, episodes: int) -> Array:
    """Returns the mean cost of each teacher in its own condition, noise-free, in the starts of `judged`."""
    teachers = Teachers(task, config, np.random.default_rng(0), state["teachers"])
    found = teachers.rollout(episodes, np.random.default_rng(1000), noise=0.0)
    costs: Array = found.costs.reshape(task.conditions, episodes).mean(1)
    return costs


def mimicked(seed: int, levels: tuple[float, ...] = (6.0, 3.0)) -> Rows:
    """Episodes until the fifth reacher costs at most a level, noise-free, three iterations of five
    episodes in a row: by TRPO from nothing, from actor-mimic's student, and from one that mimics
    the actions alone.
    """
    config = replace(reacher_mimic.config, evaluate_every=0)
    task, rng = reacher_mimic.task(), np.random.default_rng(seed)
    taught = config.iterations - config.rounds
    for row in actor_mimic.train(task, config, rng):
        if row.number == taught:
            known, draws = row.state, rng.bit_generator.state
    again = np.random.default_rng()
    again.bit_generator.state = draws
    *_, plain = actor_mimic.train(task, replace(config, features=0.0), again, known)
    teacher = teachers_cost(task, config, known, 50)
    yield "teachers: mean cost", teacher.mean()
    yield "student: mean cost", judged(task, row.policy).mean()
    begins = {"from nothing": None, "from the student": row.policy, "features 0": plain.policy}
    for name, policy in begins.items():
        cost = learned_fifth(policy, config.hidden, seed)
        for level in levels:
            held = np.convolve(cost <= level, np.ones(3), "valid") == 3
            yield f"{name}: episodes to {level:g}", 5 * (held.argmax() + 3 if held.any() else 120)


def learned_fifth(policy: Any, hidden: tuple[int, ...], seed: int) -> Array:
    """Returns what the fifth reacher costs, noise-free, after each of 120 iterations of TRPO."""
    task, rng = make_task("reacher_tasks", tasks=(4,)), np.random.default_rng(seed + 100)
    settings = trpo.Config(iterations=120, samples=5, hidden=hidden, kl_step=0.05, evaluate_every=0)
    begun = trpo.begun_from(policy, np.full(2, 0.2)) if policy else None
    rows = trpo.train(task, settings, rng, begun)
    return np.array([judged(task, row.policy, 5)[0] for row in rows])


def divided(seed: int) -> Rows:
    """Divide and conquer, without its penalty, and TRPO, as many episodes each: the cost of an
    episode of the reacher, noise-free, 5 of each of 40 targets.
    """
    config = replace(reacher_dnc.config, evaluate_every=0)
    plain = trpo.Config(iterations=config.iterations, kl_step=0.05, evaluate_every=0)
    contestants: tuple[tuple[str, Any, Any], ...] = (
        ("dnc", dnc, config),
        ("dnc, penalty 0", dnc, replace(config, penalty=0.0)),
        ("trpo", trpo, plain),
    )
    for name, method, settings in contestants:
        task = reacher_dnc.task()
        *_, last = method.train(task, settings, np.random.default_rng(seed))
        yield name, judged(task, last.policy, 5).mean()


PARTS: dict[str, Callable[[int], Rows]] = {
    "distral": four_goals,
    "transfer": fifth_goal,
    "distillation": distilled,
    "grid": temperatures,
    "ensemble": ensemble,
    "mimic": mimicked,
    "dnc": divided,
}


if __name__ == "__main__":
    run_parts("teachers", __doc__, PARTS)
