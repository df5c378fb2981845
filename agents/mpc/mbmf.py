"""MB-MF: MPC in a learned network teaches a neural policy, which a model-free method then improves.

Nagabandi, Kahn, Fearing & Levine, Neural Network Dynamics for Model-Based Deep Reinforcement
Learning with Model-Free Fine-Tuning (2018), sections IV and V:

    planning     rounds of MPC by random shooting; all transitions go to the network (algorithm 1)
    imitation    the policy is cloned from the MPC's episodes; then it is tried itself, and the MPC says what it would
                 have done in the states where it came (DAgger; Ross, Gordon & Bagnell 2011)
    fine-tuning  rounds of a library's TRPO, or PPO, from that policy

What is learned in each, f the network, pi the policy and u* the action of the MPC:

    f   <- arg min  sum |f(x, u) - (x' - x)|^2
    pi  <- arg min  1/2 sum |u*(x) - mean of pi(o)|^2
    pi  <- arg max  E[pi(u | o) / pi_old(u | o) A(o, u)]    where KL(pi_old || pi) <= 0.01    (TRPO)

The library's critic begins with the returns of the episodes of the imitation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np

from dynamics.capabilities import attached
from dynamics.storage.tree import check_tree
from lqr import InputError

from ..interfaces import Array, Iteration, State, Task
from ..learners import sb3 as model_free
from ..learners.learned_reward import LearnedReward
from ..planners import PlannerSetting, RandomShooting
from ..policies.mlp import NeuralPolicy
from ..rollout import rollout
from ..saving import build_policy, state_of
from ..settings import Count, Counts, EvaluationSettings, Positive, Share
from ..training import COUNTS, Training
from .steps import model_evaluation
from .steps.loop import (
    MPCSettings,
    by_condition,
    controller,
    known_model,
    make_model,
    make_reward,
    train_mpc,
)
from .steps.policy import MPC

ACTOR = "episodes"  # whose the column cost is

EVALUATION_SEED = 12345  # of the starts from which the policy is evaluated


@dataclass(frozen=True)
class Config(MPCSettings, EvaluationSettings):
    """Settings of MB-MF."""

    planner: PlannerSetting = RandomShooting(samples=300)  # of action sequences
    # to plan in: nn, ensemble, gp, graph, or simulator, the task's own
    model: Annotated[str, known_model] = "nn"
    iterations: Count = 25  # rounds in all: of planning, then of imitation, the rest of fine-tuning
    planning: Count = 5  # rounds of MPC
    imitation: Count = 5  # rounds of imitation, the first from episodes of the MPC
    policy_hidden: Counts = (64, 64)  # units of the policy's hidden layers
    policy_steps: Count = 2000  # minibatch steps of each regression of the policy
    policy_rate: Positive = 3e-3  # learning rate at the start of each regression of the policy
    # exploration of the policy at first, as a share of half the action range
    policy_std: Positive = 0.5
    library: Literal["trpo", "ppo"] = "trpo"  # fine-tuning by: trpo, ppo
    tune_steps: Count = 2000  # environment steps in each round of fine-tuning
    tune_rate: Positive = 1e-3  # learning rate of fine-tuning; with trpo, of its critic
    discount: Share = 0.95  # of fine-tuning
    # noise-free episodes of each condition that tell policy_cost; nothing is learned from them
    policy_episodes: Count = 10


PAPER = replace(Config(), planner=RandomShooting(samples=1000), horizon=10, hidden=(500, 500))


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round; `state` continues from an earlier Iteration's.

    The policy is the MPC in rounds of planning, and neural from then on. Raises InputError for a
    task that cannot be planned in, for rounds of fine-tuning shorter than an episode, and where the
    library is missing.
    """
    c = config
    model_free.refuse(c.library, task, c.tune_steps)
    if c.iterations < c.planning + c.imitation:
        least = f"{c.planning} of planning and {c.imitation} of imitation"
        raise InputError(f"iterations is {c.iterations}; expected at least those {least}")
    if state is None or "plan" in state:
        plan = replace(c, iterations=c.planning)
        for row in train_mpc(task, plan, rng, state["plan"] if state else None):
            state = {"plan": row.state}
            more = {"phase": 0.0, "policy_cost": row.scalars["cost"], "policy_loss": 0.0}
            yield row._replace(scalars=row.scalars | more, state=state)
        assert state is not None
        state = begin(task, c, state["plan"], rng)
    else:
        check_tree(state, state_form(task, state), "state")
    reward = make_reward(task, c)
    training = Training(task, c.iterations, state, c.evaluate_every, reward=reward)
    expert = mpc(task, c, state["model"], reward)
    for number in training.iterations():
        if number <= c.planning + c.imitation:
            yield imitate(training, c, expert, rng)
        else:
            yield fine_tune(training, c, rng)


def state_form(task: Task, state: State) -> dict[str, Any]:
    """Returns the form of a state of imitation, or of fine-tuning, whose own parts are checked
    where they are used.
    """
    form: dict[str, Any] = {**dict.fromkeys(COUNTS, int), "best": float}
    form |= dict.fromkeys(("policy", "model", "evaluation"), dict)
    form |= {name: dict for name in ("rewards", "reward") if name in state}
    if "taught" not in state:
        return form | {"tuned": dict}
    return form | {
        "taught": {"o": ("answers", task.do), "u": ("answers", task.du), "togo": ("answers",)}
    }


def begin(task: Task, c: Config, state: State, rng: np.random.Generator) -> State:
    """Returns what imitation begins with: a policy that knows nothing, and the model."""
    half = 0.5 * (task.action_high - task.action_low)
    std, limits = c.policy_std * half, (task.action_low, task.action_high)
    policy = NeuralPolicy.create(task.do, task.du, c.policy_hidden, std, rng, *limits)
    so_far = {name: state[name] for name in (*COUNTS, "best")}
    rewards: dict[str, Any] = {k: state[k] for k in ("rewards", "reward") if k in state}
    return {
        **so_far,
        **rewards,
        "model": state.get("model", {}),
        "policy": state_of(policy),
        "evaluation": {},
    }


def mpc(task: Task, c: Config, model_state: State, reward: LearnedReward | None = None) -> MPC:
    """Returns the MPC in the model of that state, or in the simulator; by a learned reward, if any."""
    dynamics = None
    if c.model != "simulator":
        dynamics = attached(make_model(c), task)
        dynamics.load_state(model_state)
    return controller(task, c, dynamics, reward)


def imitate(training: Training, c: Config, expert: MPC, rng: np.random.Generator) -> Iteration:
    """Tries the expert, once, or the policy; asks the expert about the states; fits the policy to
    all answers.
    """
    task, state = training.task, training.saved
    policy, before = build_policy(state["policy"], "state"), state.get("taught")
    expert.calls = expert.acts = 0
    every = np.arange(task.conditions)
    episodes = training.count(rollout(task, policy if before else expert, every, c.samples, rng))
    valid = episodes.valid
    answers = valid.u
    if before:
        answers = np.stack([expert.sample(valid.x[:, t], t, rng) for t in range(task.horizon)], 1)
    ahead = model_evaluation.evaluate(
        model_evaluation.snapshot(expert.model),
        expert,
        task,
        episodes,
        np.random.default_rng(state["number"]),
    )
    new = {"o": valid.o[:, :-1], "u": answers, "togo": model_free.costs_to_go(valid, c.discount)}
    taught = {name: a[valid.mask] for name, a in new.items()}
    taught = (
        {name: np.concatenate([before[name], a]) for name, a in taught.items()}
        if before
        else taught
    )
    per_action = np.diag(4.0 / (task.action_high - task.action_low) ** 2)
    precision = np.tile(per_action, (len(taught["o"]), 1, 1))
    loss = policy.fit(taught["o"], taught["u"], precision, rng, c.policy_steps, rate=c.policy_rate)
    told = {
        "model_calls": expert.calls / max(expert.acts, 1),
        "open_loop_error": ahead.open_loop_error,
        "coverage": ahead.coverage,
        "policy_loss": loss,
        "phase": 1.0,
    }
    finite = all(np.isfinite(a).all() for a in ahead.arrays.values())  # as what is saved has to be
    saved = {
        "taught": taught,
        "evaluation": ahead.arrays if finite else {},
        "model": state["model"],
    }
    return report(training, c, saved, policy, episodes.costs, told)


def fine_tune(training: Training, c: Config, rng: np.random.Generator) -> Iteration:
    """One update of the library's, from the policy's own episodes."""
    task, state = training.task, training.saved
    policy: Any = build_policy(state["policy"], "state")
    tuned = state.get("tuned")
    if tuned is None:
        known = state["taught"]
        tuned = model_free.begin(
            c.library, task, policy, known["o"], known["togo"], c.discount, rng
        )
    policy, tuned, cost = model_free.update(
        c.library,
        task,
        policy,
        tuned,
        discount=c.discount,
        steps=c.tune_steps,
        rate=c.tune_rate,
        rng=rng,
    )
    told = {"model_calls": 0.0, "policy_loss": 0.0, "phase": 2.0}
    training.add(len(cost), c.tune_steps)
    saved = {"tuned": tuned, "evaluation": state["evaluation"], "model": {}}
    return report(training, c, saved, policy, cost, told)


def report(
    training: Training,
    c: Config,
    saved: State,
    policy: NeuralPolicy,
    cost: Array,
    told: dict[str, float],
) -> Iteration:
    """Returns the Iteration of a round whose episodes had these costs (K,), NaN where one diverged.

    The policy's cost, and the task's metrics, are those of noise-free episodes beside the training,
    from the same starts in each round. What the model predicted is told of the last round of
    imitation from then on.
    """
    finite = cost[np.isfinite(cost)]
    best = min(training.saved["best"], float(finite.min()))
    starts = np.random.default_rng(EVALUATION_SEED)
    test = training.evaluate(policy, starts, c.policy_episodes)
    scalars = training.row(
        test,
        cost=finite.mean(),
        best_cost=best,
        model_calls=told["model_calls"],
        model_error=0.0,
        open_loop_error=told.get("open_loop_error", 0.0),
        coverage=told.get("coverage", 0.0),
        diverged=len(cost) - len(finite) + test.failed.sum(),
        phase=told["phase"],
        policy_cost=test.valid.costs.mean(),
        policy_loss=told["policy_loss"],
    )
    shown = by_condition(training.task, test)
    arrays = {"policy_cost": shown["cost"], "policy_x": shown["x"][:, 0], **saved["evaluation"]}
    rest = saved | {"best": best, "policy": state_of(policy)}
    return training.iteration(policy, scalars, arrays, rest)
