"""Plans in a learned model teach a policy, which a model-free method then improves in the world
itself.

    teaching     U, K  <-  argmin of the cost under the model, from many starts; pi imitates u = U + K (x - X): a few
                           rounds of `ilqg_gps`, and the policy does much of what a plan can tell it
    fine-tuning  pi    <-  argmax  E[pi(u | o) / pi_old(u | o) A(o, u)]    where KL(pi_old || pi) <= 0.01: a library's
                           TRPO, or its PPO, each update from `tune_steps` steps of the policy's own
                           trials

Guided policy search by plans (Levine and Koltun, Guided Policy Search, 2013) in the place of the
imitated MPC of MB-MF (Nagabandi, Kahn, Fearing and Levine 2018, section V): see `agents.mpc.mbmf`,
`agents.learners.sb3`. What a model tells badly, such as which way a push in a contact goes, is so
learned from what happens; what it tells well need not be. With `shaping`, fine-tuning is paid for
progress (Ng, Harada and Russell 1999): see `agents.tasks.adapters.gymnasium_env`.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.learners import sb3 as model_free
from agents.policies.mlp import NeuralPolicy
from agents.rollout import metrics_of, rollout
from agents.saving import build_policy, state_of
from agents.settings import share
from agents.tasks.adapters.gymnasium_env import standing
from agents.tasks.capabilities import TuningCost, capability
from dynamics.storage.tree import check_tree
from lqr import window

from . import ilqg_gps
from .steps import trajectory_step as lc
from .steps.settings import Rule, check, count, one_of, positive

Array = np.ndarray


@dataclass(frozen=True)
class Config(ilqg_gps.Config):
    """Settings of plans that teach a policy, and of its fine-tuning."""

    iterations: int = 20  # rounds in all: of teaching, the rest of fine-tuning
    teaching: int = 5  # rounds in which plans teach
    library: str = "trpo"  # fine-tuning by: trpo, ppo
    tune_steps: int = 2000  # environment steps in each round of fine-tuning; in the first, as many again for the critic
    tune_rate: float = 1e-3  # learning rate of fine-tuning; with trpo, of its critic
    # exploration of fine-tuning at first, as a share of half the action range
    tune_std: float = 0.1
    discount: float = 0.97  # of fine-tuning
    shaping: bool = False  # fine-tuning is paid for progress: a potential takes off what staying where it is would cost

    RULES: ClassVar[dict[str, Rule]] = {
        **ilqg_gps.Config.RULES,
        **{
            "teaching": count,
            "tune_steps": count,
            "tune_rate": positive,
            "tune_std": positive,
            "discount": share,
        },
        "library": one_of(*model_free.LIBRARIES),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            self,
            teaching=lambda n: (
                "" if n <= self.iterations else f"at most iterations, {self.iterations}"
            ),
        )


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round; `state` continues from an earlier Iteration's.

    Raises InputError as `ilqg_gps.train` does, for rounds of fine-tuning shorter than an episode,
    for actions without limits, and where the library is missing.
    """
    model_free.refuse(config.library, task, config.tune_steps)
    if state is None or "taught" in state:
        teaching = replace(config, iterations=config.teaching)
        for row in ilqg_gps.train(task, teaching, rng, state["taught"] if state else None):
            told = {**row.scalars, "phase": 0.0}
            state = {"taught": row.state, "told": told}
            yield row._replace(scalars=told, state=state)
        assert state is not None
        state = begin(task, config, state, rng)
    else:
        form = {
            "number": int,
            "episodes": int,
            "steps": int,
            "planned_cost": float,
            "policy": dict,
            "tuned": dict,
        }
        check_tree(state, form, "state")
    while state["number"] < config.iterations:
        yield (row := fine_tune(task, config, state, rng))
        state = row.state


def begin(task: Task, config: Config, state: State, rng: np.random.Generator) -> State:
    """Returns what fine-tuning begins with: the policy, and a critic that knows what its own trials
    cost.
    """
    policy: Any = build_policy(state["taught"]["policy"], "state")
    task = to_tune(task)
    policy.cov = np.diag((config.tune_std * lc.action_scale(task)) ** 2)
    episodes = max(config.tune_steps // task.horizon, 1)
    trials = rollout(task, policy, rng.integers(task.conditions, size=episodes), 1, rng)
    stays, T = None, task.horizon
    if config.shaping:
        stays = standing(window(task.cost, T - 1, 1, T), trials.x, task.du, config.discount)
    togo = model_free.costs_to_go(trials, config.discount, stays)[trials.mask]
    o = trials.pairs[0]
    tuned = model_free.begin(
        config.library, task, policy, o, togo, config.discount, rng, config.shaping
    )
    told = state["told"]
    return {
        "number": state["taught"]["number"],
        "episodes": int(told["rollouts"]) + episodes,
        "steps": int(told["env_steps"]) + int(trials.length.sum()),
        "planned_cost": told["planned_cost"],
        "policy": state_of(policy),
        "tuned": tuned,
    }


def to_tune(task: Any) -> Any:
    """Returns the task with the cost that fine-tuning is to learn from, `tuning_cost`, where it
    names one.
    """
    other = copy.copy(task)
    told = capability(task, TuningCost)
    other.cost = told.tuning_cost if told else task.cost
    return other


def fine_tune(task: Task, config: Config, state: State, rng: np.random.Generator) -> Iteration:
    """One update of the library's, from the policy's own trials."""
    policy: Any = build_policy(state["policy"], "state")
    how = config.discount, config.tune_steps, config.tune_rate
    policy, tuned, cost = model_free.update(
        config.library, to_tune(task), policy, state["tuned"], *how, rng, config.shaping
    )
    state = state | {
        "number": state["number"] + 1,
        "episodes": state["episodes"] + len(cost),
        "steps": state["steps"] + config.tune_steps,
        "policy": state_of(policy),
        "tuned": tuned,
    }
    scalars, arrays = judge(task, policy, cost, rng)
    counts = {"rollouts": float(state["episodes"]), "env_steps": float(state["steps"])}
    scalars = (
        counts | scalars | {"planned_cost": state["planned_cost"], "policy_loss": 0.0, "phase": 1.0}
    )
    return Iteration(state["number"], policy, scalars, arrays, state)


def judge(
    task: Task, policy: NeuralPolicy, cost: Array, rng: np.random.Generator
) -> tuple[dict[str, float], dict[str, Array]]:
    """Returns the metrics and arrays for figures, after noise-free trials; `cost` (K,) is that of
    its own trials.
    """
    shown = rollout(task, policy, np.arange(task.conditions), 1, rng, noise=0.0)
    ended = shown.valid
    scalars = {
        "cost": float(ended.costs.mean()),
        **{name: float(value.mean()) for name, value in metrics_of(task, ended).items()},
        "sampled_cost": float(np.nanmean(cost)),
        "diverged": float(shown.failed.sum() + np.isnan(cost).sum()),
    }
    return scalars, {"cost": shown.costs, "x": shown.x[:, None]}
