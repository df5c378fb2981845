"""Plans in a learned model teach a policy, which a model-free method then improves in the task
itself.

    teaching     U, K  <-  argmin of the cost under the model, from many starts; pi imitates u = U + K (x - X): a few
                           rounds of `ilqg_gps`
    fine-tuning  pi    <-  argmax  E[pi(u | o) / pi_old(u | o) A(o, u)]    where KL(pi_old || pi) <= 0.01: a library's
                           TRPO, or its PPO, each update from `tune_steps` steps of the policy's own
                           episodes

Guided policy search by plans (Levine and Koltun, Guided Policy Search, 2013) in the place of the
imitated MPC of MB-MF (Nagabandi, Kahn, Fearing and Levine 2018, section V): see `agents.mpc.mbmf`,
`agents.learners.sb3`. Fine-tuning corrects what the model gets wrong, such as the direction of a
push in a contact. With `shaping`, its reward is progress (Ng, Harada and Russell 1999): see
`agents.tasks.adapters.gymnasium_env`.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.learners import sb3 as model_free
from agents.rollout import rollout
from agents.saving import build_policy, state_of
from agents.settings import Count, Positive, Share
from agents.tasks.adapters.gymnasium_env import standing
from agents.tasks.capabilities import TuningCost, capability
from agents.training import COUNTS, Training
from dynamics.storage.tree import check_tree
from lqr import InputError, window

from . import ilqg_gps
from .steps.exploration import action_scale

ACTOR = "episodes"  # whose the column cost is

Array = np.ndarray


@dataclass(frozen=True)
class Config(ilqg_gps.Config):
    """Settings of plans that teach a policy, and of its fine-tuning."""

    iterations: Count = 20  # rounds in all: of teaching, the rest of fine-tuning
    teaching: Count = 5  # rounds in which plans teach
    library: Literal["trpo", "ppo"] = "trpo"  # fine-tuning by: trpo, ppo
    # environment steps in each round of fine-tuning; in the first, as many again for the critic
    tune_steps: Count = 2000
    tune_rate: Positive = 1e-3  # learning rate of fine-tuning; with trpo, of its critic
    # exploration of fine-tuning at first, as a share of half the action range
    tune_std: Positive = 0.1
    discount: Share = 0.97  # of fine-tuning
    # the reward of fine-tuning is progress: a potential subtracts the cost of staying in place
    shaping: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teaching > self.iterations:
            raise InputError(
                f"teaching is {self.teaching}; expected at most iterations, {self.iterations}"
            )


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round; `state` continues from an earlier Iteration's.

    Raises InputError as `ilqg_gps.train` does, for rounds of fine-tuning shorter than an episode,
    for actions without limits, and where the library is missing.
    """
    model_free.refuse(config.library, task, config.tune_steps)
    if state is None or "teaching" in state:
        for row in teach_by_plans(task, config, rng, state):
            yield row
            state = row.state
        assert state is not None
        state = begin(task, config, state, rng)
    check_state(state)
    training = Training(task, config.iterations, state, config.evaluate_every)
    for _ in training.iterations():
        yield fine_tune(training, config, rng)


def teach_by_plans(
    task: Task, config: Config, rng: np.random.Generator, state: State | None
) -> Iterator[Iteration]:
    """Yields the rounds of `ilqg_gps`."""
    settings = replace(config, iterations=config.teaching)
    before = state["teaching"] if state else None
    for row in ilqg_gps.train(task, settings, rng, before):
        scalars = {**row.scalars, "phase": 0.0}
        yield row._replace(scalars=scalars, state={"teaching": row.state, "scalars": scalars})


def begin(task: Task, config: Config, state: State, rng: np.random.Generator) -> State:
    """Returns the state that fine-tuning begins with: the policy, and a critic that is fitted to
    the returns of its own episodes.
    """
    policy: Any = build_policy(state["teaching"]["policy"], "state")
    task = to_tune(task)
    policy.cov = np.diag((config.tune_std * action_scale(task)) ** 2)
    count = max(config.tune_steps // task.horizon, 1)
    episodes = rollout(task, policy, rng.integers(task.conditions, size=count), 1, rng)
    stays, T = None, task.horizon
    if config.shaping:
        stays = standing(window(task.cost, T - 1, 1, T), episodes.x, task.du, config.discount)
    togo = model_free.costs_to_go(episodes, config.discount, stays)[episodes.mask]
    tuned = model_free.begin(
        config.library,
        task,
        policy,
        episodes.pairs[0],
        togo,
        config.discount,
        rng,
        config.shaping,
    )
    taught = state["teaching"]
    return {
        "number": taught["number"],
        "episodes": taught["episodes"] + count,
        "steps": taught["steps"] + int(episodes.length.sum()),
        "evaluation_episodes": taught["evaluation_episodes"],
        "evaluation_steps": taught["evaluation_steps"],
        "planned_cost": state["scalars"]["planned_cost"],
        "policy": state_of(policy),
        "tuned": tuned,
        **({"rewards": taught["rewards"]} if "rewards" in taught else {}),
    }


def check_state(state: State) -> None:
    """Raises CheckpointError for a state that is not one of fine-tuning."""
    form: dict[str, Any] = dict.fromkeys(COUNTS, int)
    form |= {"planned_cost": float, "policy": dict, "tuned": dict}
    check_tree({name: state.get(name) for name in form}, form, "state")


def to_tune(task: Any) -> Any:
    """Returns the task with the cost that fine-tuning is to learn from, `tuning_cost`, where it
    names one.
    """
    other = copy.copy(task)
    told = capability(task, TuningCost)
    other.cost = told.tuning_cost if told else task.cost
    return other


def fine_tune(training: Training, config: Config, rng: np.random.Generator) -> Iteration:
    """Returns the policy after one update of the library's, from its own episodes."""
    task, saved = training.task, training.saved
    policy, tuned, cost = model_free.update(
        config.library,
        to_tune(task),
        build_policy(saved["policy"], "state"),
        saved["tuned"],
        config.discount,
        config.tune_steps,
        config.tune_rate,
        rng,
        config.shaping,
    )
    training.add(len(cost), config.tune_steps)
    test = training.evaluate(policy, rng)
    scalars = training.row(
        test,
        sampled_cost=np.nanmean(cost),
        diverged=test.failed.sum() + np.isnan(cost).sum(),
        planned_cost=saved["planned_cost"],
        policy_loss=0.0,
        phase=1.0,
    )
    arrays = {"cost": test.costs, "x": test.states[:, None]}
    rest = {"policy": state_of(policy), "tuned": tuned, "planned_cost": saved["planned_cost"]}
    return training.iteration(policy, scalars, arrays, rest)
