"""Plans in a learned global model teach a neural policy: guided policy search whose teachers cost
no trials.

The teachers are those of iLQG with learned dynamics (Mitrovic, Klanke and Vijayakumar 2010; with a
Gaussian process, Pan and Theodorou 2014); that trajectory optimisation, begun where the policy
leads, teaches the policy what to do is guided policy search (Levine and Koltun, Guided Policy
Search, 2013; Mordatch and Todorov, Combining the Benefits of Function Approximation and Trajectory
Optimization, 2014). Each round

    try the policy, with noise; fit the model to all transitions so far
    from many imagined starts: U, K  <-  argmin of the cost under the model's mean, by iLQR within
    the action limits,
                               from what the policy does there, from the last plan and from random
                               actions
    follow u = U + K (x - X), with noise, in the model; what it asks for in the states met there
    teaches the policy try some of the plans as well, where the policy alone would not soon show
    what the model has wrong about them

Where local models need trials in every situation that is to teach, here one model is shared by all
of them: a few trials anywhere are enough for as many teachers as one likes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.planners.models import LearnedModel
from agents.policies import make_policy
from agents.rollout import Trajectories, metrics_of, rollout, run
from agents.saving import build_policy, state_of
from agents.tasks.capabilities import ObservationOf, capability, manifold_of
from dynamics import MODELS, Ensemble, Network, ReplayBuffer
from dynamics.replay_buffer import CAPACITY
from dynamics.storage.tree import check_tree
from lqr import CheckpointError, InputError

from .steps import trajectory_step as lc
from .steps.distillation import Lesson, teach
from .steps.planned_trajectories import Plans, guesses, near, noise, plan
from .steps.settings import Rule, check, count, counts, not_negative, one_of, positive, whole

Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """Settings of plans that teach a policy."""

    iterations: int = 8  # rounds of trials
    trials: int = 2  # episodes of each round, in conditions drawn at random
    # exploration in the first round, and random plans, as a share of half the action range
    initial_std: float = 0.3
    min_std: float = 0.1  # exploration from then on, same unit
    smoothing: float = 0.0  # steps over which the noise of the first round and of random plans is smoothed; 0: white
    trial_smoothing: float = 0.0  # the same of the noise of later rounds
    dither: bool = False  # trials take the limits of the actions alone, at random, with the mean that is asked for
    model: str = "gp"  # global model: nn, ensemble, gp
    members: int = 5  # networks of an ensemble
    model_hidden: tuple[int, ...] = (64, 64)  # units of the hidden layers of nn, ensemble
    # minibatch steps of each of their regressions, twice as many on a fresh start
    fit_steps: int = 1000
    history: int = CAPACITY  # transitions that the model is fitted to, at most: the newest
    tried: int = 0  # plans of each round that are tried as well, so that the model knows where they go: whole ones
    tried_feedback: float = 0.3  # share of their feedback with which they are tried
    tried_std: float = 0.05  # their noise, as a share of half the action range, smoothed as in trials of later rounds
    plans: int = 48  # imagined starts of the task, the same in each round
    visited: int = 0  # further ones in each round, at states of trials: for tasks whose cost does not change with time
    plan_length: int = 0  # steps that are planned; 0: the whole episode
    # last steps of a plan that do not teach, where a plan ends before the episode does
    unused: int = 0
    plan_iterations: int = 15  # of iLQR, from each guess
    # others than what the policy does: the last plan of this start, then random ones
    guesses: int = 1
    loyalty: float = 0.05  # share of its cost by which another plan has to be cheaper than that made of the policy's
    copies: int = 3  # noisy trials of each plan in the model, whose states teach as well
    copies_std: float = 0.1  # their noise, as a share of half the action range
    replay: int = 1  # rounds whose plans teach
    hidden: tuple[int, ...] = (64, 64)  # units of the policy's hidden layers
    policy_steps: int = 2000  # minibatch steps of each regression
    policy_rate: float = 3e-3  # Adam's learning rate at the start of each regression

    RULES: ClassVar[dict[str, Rule]] = {
        **dict.fromkeys(
            (
                "iterations",
                "trials",
                "plans",
                "plan_iterations",
                "guesses",
                "replay",
                "policy_steps",
            ),
            count,
        ),
        **dict.fromkeys(("members", "fit_steps"), count),
        **dict.fromkeys(("tried", "visited", "plan_length", "unused", "copies"), whole),
        **dict.fromkeys(("initial_std", "min_std", "policy_rate"), positive),
        **dict.fromkeys(("smoothing", "trial_smoothing", "loyalty", "copies_std"), not_negative),
        **dict.fromkeys(("tried_feedback", "tried_std"), not_negative),
        **dict.fromkeys(("hidden", "model_hidden"), counts),
    }

    def __post_init__(self) -> None:
        check(self, **self.RULES, model=one_of(*MODELS))


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round of trials; `state` continues from an earlier Iteration's.

    Raises InputError for a task whose states lie on a manifold, that does not tell what a policy
    sees in a state, or whose episodes are too short for the plans; NumericalError where the model
    diverges whatever is done.
    """
    refuse(task, config)
    scale, model = lc.action_scale(task), make_model(config)
    world, buffer = LearnedModel.of(task, model), ReplayBuffer(config.history)
    if state:
        check_state(state, task, config)
        policy = build_policy(state["policy"], "state")
        starts = state["starts"]
        last = state["last"]
        where = state["where"].astype(int)
        model.load_state(state["model"])
        buffer.load_state(state["seen"])
        lessons = [(one["o"], one["u"]) for _, one in sorted(state["lessons"].items())]
        episodes, steps, first = state["episodes"], state["steps"], state["number"] + 1
    else:
        policy = make_policy("mlp", task, config.hidden, config.initial_std * scale, rng)
        where = rng.integers(task.conditions, size=config.plans)
        starts, last = np.array(task.reset(where, rng), float), None
        lessons, episodes, steps, first = [], 0, 0, 1
    for number in range(first, config.iterations + 1):
        trials = explore(task, policy if number > 1 else None, config, rng)
        buffer.add_and_fit(model, *trials.transitions, rng)
        seen = buffer.transitions[0]
        x0 = np.concatenate([starts, seen[rng.integers(len(seen), size=config.visited)]])
        guessed = guesses(task, world, policy, x0, strays(task, len(x0), config, rng), last)
        plans = plan(task, world, x0, guessed, config.plan_iterations, config.loyalty)
        last = plans.U[: config.plans]
        tries = [trials]
        if config.tried:
            tries.append(attempt(task, plans, where, config, rng))
            buffer.add(*tries[1].transitions, model=model)
        episodes += sum(len(some.length) for some in tries)
        steps += sum(int(some.length.sum()) for some in tries)
        lessons = [*lessons, lesson(task, world, plans, seen, config, rng)][-config.replay :]
        o, u = (np.concatenate(part) for part in zip(*lessons, strict=True))
        loss = teach(
            policy,
            Lesson(u, np.diag(scale**-2.0)),
            o,
            rng,
            None,
            config.policy_steps,
            config.policy_rate,
        )
        policy.cov = np.diag((config.min_std * scale) ** 2)

        scalars, arrays = report(task, policy, plans, tries, rng)
        scalars = {
            "rollouts": float(episodes),
            "env_steps": float(steps),
            **scalars,
            "policy_loss": loss,
        }
        frozen: State = {
            "number": number,
            "episodes": episodes,
            "steps": steps,
            "policy": state_of(policy),
        }
        frozen |= {"model": model.state(), "seen": buffer.state()}
        frozen |= {"where": where.astype(float), "starts": starts, "last": last}
        frozen |= {"lessons": {f"{i:03d}": {"o": a, "u": b} for i, (a, b) in enumerate(lessons)}}
        yield Iteration(number, build_policy(frozen["policy"], "state"), scalars, arrays, frozen)


def make_model(config: Config) -> Any:
    """Returns a new global model."""
    how: dict[str, Any] = {"hidden": tuple(config.model_hidden), "steps": config.fit_steps}
    if config.model == "ensemble":
        return Ensemble(config.members, **how)
    return Network(**how) if config.model == "nn" else MODELS[config.model]()


def check_state(state: State, task: Task, config: Config) -> None:
    """Raises CheckpointError where a state does not fit the task and the settings."""
    form: dict[str, Any] = dict.fromkeys(("number", "episodes", "steps"), int)
    form |= dict.fromkeys(("policy", "model", "seen"), dict)
    form |= {"where": (config.plans,), "starts": (config.plans, task.dx)}
    form |= {"last": (config.plans, config.plan_length or task.horizon, task.du)}
    check_tree({key: state.get(key) for key in form}, form, "state")
    names = [f"{i:03d}" for i in range(min(state["number"], config.replay))]
    form["lessons"] = {name: {"o": (name, task.do), "u": (name, task.du)} for name in names}
    check_tree(state, form, "state")
    if not np.isin(state["where"], np.arange(task.conditions)).all():
        raise CheckpointError(
            f"state/where: got {state['where']}; expected conditions 0 to {task.conditions - 1}"
        )


def refuse(task: Any, config: Config) -> None:
    """Raises InputError for a task that cannot be planned in, or taught in, so."""
    if manifold_of(task) or capability(task, ObservationOf) is None:
        raise InputError(
            f"{task.name} has states on a manifold or no `observation_of`; expected vectors x, and "
            "observation_of(x), what is seen there"
        )
    if config.dither and not np.isfinite([task.action_low, task.action_high]).all():
        raise InputError(
            f"{task.name} has actions without limits; expected dither False, or finite limits to take"
        )
    length = config.plan_length or task.horizon
    if config.tried and (config.tried > config.plans or length < task.horizon):
        raise InputError(
            f"got tried {config.tried} of {config.plans} plans of {length} steps; expected at most all of them, and "
            f"plans of whole episodes, {task.horizon} steps"
        )
    if not config.unused < length <= task.horizon:
        raise InputError(
            f"got plans of {length} steps, the last {config.unused} unused; expected fewer, and at most {task.horizon}"
        )


def explore(task: Task, policy: Any, config: Config, rng: np.random.Generator) -> Trajectories:
    """Returns trials of the policy with noise, or of noise alone where there is none yet."""
    where, scale = rng.integers(task.conditions, size=config.trials), lc.action_scale(task)
    std, smoothing = (
        (config.min_std, config.trial_smoothing)
        if policy
        else (config.initial_std, config.smoothing)
    )
    draws = noise((len(where), task.horizon, task.du), std * scale, smoothing, rng)

    def act(x: Array, o: Array, t: int) -> Array:
        u = draws[:, t] + (policy.mean(o) if policy else 0.0)
        if not config.dither:
            return u
        share = (u - task.action_low) / (task.action_high - task.action_low)
        return np.where(rng.random(u.shape) < share, task.action_high, task.action_low)

    return run(task, act, where, rng)


def strays(task: Task, starts: int, config: Config, rng: np.random.Generator) -> Array:
    """Returns random actions to plan from, (starts, 1 + guesses, T, du), one sequence for each plan
    of a start.
    """
    size = starts, 1 + config.guesses, config.plan_length or task.horizon, task.du
    std = config.initial_std * lc.action_scale(task)
    return noise((size[0] * size[1], *size[2:]), std, config.smoothing, rng).reshape(size)


def attempt(
    task: Task, plans: Plans, where: Array, config: Config, rng: np.random.Generator
) -> Trajectories:
    """Returns trials of some of the plans that begin where the task does, in the conditions `where`
    (plans,).
    """
    some = rng.choice(len(where), config.tried, replace=False)
    (K, k, _), U = (a[some] for a in plans.controller), plans.U[some]
    draws = noise(U.shape, config.tried_std * lc.action_scale(task), config.trial_smoothing, rng)

    def act(x: Array, o: Array, t: int) -> Array:
        planned = np.einsum("cij,cj->ci", K[:, t], x) + k[:, t]
        return U[:, t] + config.tried_feedback * (planned - U[:, t]) + draws[:, t]

    return run(task, act, where[some], rng)


def lesson(
    task: Any,
    world: LearnedModel,
    plans: Plans,
    seen: Array,
    config: Config,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Returns observations (M, do) of states in the plans and around them, and what the plans do
    there, (M, du).

    What a noisy copy meets far from all states seen (K, dx) and planned does not count: there it
    has run off.
    """
    controller, std = plans.controller, config.copies_std * lc.action_scale(task)
    x = np.repeat(plans.X[:, :1], 1 + config.copies, axis=1)  # (C, S, dx)
    X: list[Array] = []
    U: list[Array] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(plans.U.shape[1] - config.unused):
            u = np.einsum("cij,csj->csi", controller.K[:, t], x) + controller.k[:, None, t]
            u = np.clip(u, task.action_low, task.action_high)
            X, U = [*X, x], [*U, u]
            stray = std * rng.standard_normal(u.shape)
            stray[:, 0] = 0.0
            x = world.step(x, np.clip(u + stray, task.action_low, task.action_high))
    x, u = np.stack(X), np.stack(U)
    sound = near(x, np.concatenate([seen, plans.X.reshape(-1, x.shape[-1])]))
    return task.observation_of(x[sound]), u[sound]


def report(
    task: Task, policy: Any, plans: Plans, tries: list[Trajectories], rng: np.random.Generator
) -> tuple[dict[str, float], dict[str, Array]]:
    """Returns the metrics row and the arrays for figures, after noise-free trials of the policy.

    `tries` are the round's trials, first those of the policy.
    """
    shown = rollout(task, policy, np.arange(task.conditions), 1, rng, noise=0.0)
    ended = shown.valid
    scalars = {
        "cost": float(ended.costs.mean()),
        **{name: float(value.mean()) for name, value in metrics_of(task, ended).items()},
        "sampled_cost": float(tries[0].valid.costs.mean()),
        "planned_cost": float(plans.cost.mean()),
        "diverged": float(sum(some.failed.sum() for some in (*tries, shown))),
    }
    return scalars, {"cost": shown.costs, "x": shown.x[:, None]}
