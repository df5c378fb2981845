"""The local half of an iteration, as all methods share it: trials, the judgement on them, models,
and the report.

A method's `train` goes through `rounds.left`; in each round it calls `sample`, `learn`, the steps
of its own paper, `adopt`, and `report`.
"""

from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import Policy, State, Task
from agents.rollout import Trajectories, metrics_of, rollout
from agents.tasks.capabilities import LearnedCost, capability, manifold_of
from dynamics import Chart, Fit, chart_of, error_along, make_prior
from dynamics.storage.tree import check_tree
from lqr import LinearGaussianController, LinearGaussianDynamics, QuadraticCost

from . import trajectory_step as lc
from .initial_controllers import initial_controllers
from .settings import Local

Array = np.ndarray


class Known(NamedTuple):
    """What a round of trials taught; leading axis C."""

    local: lc.Local  # the accepted controllers and their trials
    accepted: Array  # (C,) bool, were the controllers that were just tried accepted?
    promised: Array  # (C,), improvement that the model had promised for them
    actual: Array  # (C,), and what it was
    fit: Fit  # the models around the accepted trials
    cost: QuadraticCost  # the expansion there
    epsilon: Array  # (C,) nats, the step that is due

    @property
    def dynamics(self) -> LinearGaussianDynamics:
        """The models' point estimates."""
        return self.fit.dynamics


class Rounds:
    """Rounds of trials, and what passes from one to the next."""

    def __init__(self, task: Task, config: Local, state: State | None = None):
        self.task, self.config, self.scale = task, config, lc.action_scale(task)
        self.prior = make_prior(config.prior, task)
        self.controller = initial_controllers(task, config)  # to be tried next
        self.chart = chart_of(
            task
        )  # of the states that they see; None where these are plain vectors
        self.old: lc.Local | None = None  # the accepted ones
        first = 1
        if state:
            check_state(state, task)
            self.prior.load_state(state["prior"])
            if (
                told := capability(task, LearnedCost)
            ) and "rewards" in state:  # earlier versions did not keep them
                told.learned.load_state(state["rewards"])
            if self.chart:
                self.chart = Chart(self.chart.manifold, state["origin"])
            self.controller, self.old = unfreeze(state["controller"]), lc.Local(**state["local"])
            self.old = self.old._replace(
                controller=unfreeze(state["local"]["controller"]), chart=self.chart
            )
            first = int(state["number"]) + 1
        self.left = range(first, config.iterations + 1)

    def sample(self, rng: np.random.Generator, policy: Policy | None = None) -> lc.Local:
        """Returns trials of the controllers, or of a policy, condition by condition; the prior
        learns from them.
        """
        every = np.arange(self.task.conditions)
        actor = policy or self.controller
        config = self.config
        how = config.samples, rng, 1.0, config.smoothing, self.chart, config.antithetic
        self.trials = rollout(self.task, actor, every, *how)
        new = lc.by_condition(self.trials, self.controller, np.ones(len(every)), self.chart)
        self.prior.update(*lc.transitions(new))
        return new

    def model(self, local: lc.Local) -> tuple[LinearGaussianDynamics, QuadraticCost]:
        """Returns the models around these trials, and the expansion of the cost there."""
        return lc.fit(local, self.prior, self.config.prior_strength).dynamics, lc.expand(
            self.task.cost, local
        )

    def learn(self, new: lc.Local, refuse: bool = True) -> Known:
        """Returns the judgement on the trials, and the models around those that are accepted; see
        `local.judge`.
        """
        promised = self.old.predicted if self.old else np.zeros(len(new.cost))
        most = self.config.max_kl_step / self.config.kl_step
        local, accepted, actual = lc.judge(self.old, new, most, refuse=refuse)
        local = lc.recentred(local)
        fit = lc.fit(local, self.prior, self.config.prior_strength)
        cost = lc.expand(self.task.cost, local)
        return Known(
            local, accepted, promised, actual, fit, cost, self.config.kl_step * local.multiplier
        )

    def floored(self, step: lc.Proposal) -> LinearGaussianController:
        """Returns the controllers of a proposal with the exploration that they shall not fall
        below.
        """
        return lc.with_floor(step.controller, self.config.min_std, self.scale)

    def adopt(self, known: Known, step: lc.Proposal) -> None:
        """Takes the controllers of a proposal as those to be tried next."""
        self.controller, self.chart = self.floored(step), known.local.chart
        self.old = known.local._replace(predicted=step.predicted + known.local.lead)

    def report(
        self, known: Known, step: lc.Proposal, rng: np.random.Generator
    ) -> tuple[dict[str, float], dict[str, Array]]:
        """Returns the metrics row and the arrays for figures, after noise-free trials of the
        controllers to try next.

        "predicted" and "actual" are the improvements of the controllers that were just tried;
        "mean" and "cov", what their models forecast, are NaN past the end of the longest of the
        trials.
        """
        every, chart = np.arange(self.task.conditions), known.local.chart
        test = rollout(self.task, self.controller, every, 1, rng, noise=0.0, chart=self.chart)
        seen = test.x if chart is None else chart.to_tangent(test.x[:, None])[:, 0]
        ended = test.valid
        scalars = {
            "rollouts": float(known.local.trials),
            "env_steps": float(known.local.steps),
            "cost": float(ended.costs.mean()),
            **{name: float(value.mean()) for name, value in metrics_of(self.task, ended).items()},
            "sampled_cost": float(self.trials.valid.costs.mean()),
            "kl": float(step.kl.mean()),
            "epsilon": float(step.epsilon.mean()),
            "eta": float(np.median(step.eta[step.solved])) if step.solved.any() else 0.0,
            "predicted": float(known.promised.mean()),
            "actual": float(known.actual.mean()),
            "accepted": float(known.accepted.mean()),
            "unsolved": float((~step.solved).sum()),
            "diverged": float(self.trials.failed.sum() + test.failed.sum()),
            "evidence": known.fit.evidence,
            "prior_strength": known.fit.strength,
            "std": float(
                np.sqrt(np.einsum("ctii->", step.controller.cov) / step.controller.k.size)
            ),
        }
        mean, cov = chart.state_distribution(step.mean, step.cov) if chart else step[1:3]
        unseen = np.pad(~known.local.used.any(1), ((0, 0), (1, 0)))  # (C, T+1), no trial got there
        arrays = {
            "cost": test.costs,
            "predicted": known.promised,
            "actual": known.actual,
            "model_error": error_along(
                known.dynamics, seen, test.u
            ),  # on trials that the models have not seen
            **{name: getattr(step, name) for name in ("kl", "eta", "epsilon")},
            "mean": np.where(unseen[..., None], np.nan, mean),
            "cov": np.where(unseen[..., None, None], np.nan, cov),
            "x": by_condition(self.trials, self.task),
        }
        return scalars, arrays

    def state(self, number: int) -> dict[str, Any]:
        """Returns, as a tree, all that a new `Rounds` needs to go on after this iteration."""
        assert self.old is not None
        local = self.old._asdict() | {"controller": self.old.controller._asdict()}
        chart, told = local.pop("chart"), capability(self.task, LearnedCost)
        return {
            **({"rewards": told.learned.state()} if told else {}),
            **({"origin": chart.origin} if chart else {}),
            "number": number,
            "controller": self.controller._asdict(),
            "prior": self.prior.state(),
            "local": local,
        }


def by_condition(trials: Trajectories, task: Task) -> Array:
    """Returns the states of trials, (C, N, T+1, dx)."""
    return trials.x.reshape(task.conditions, -1, *trials.x.shape[1:])


def check_state(state: State, task: Task) -> None:
    """Raises CheckpointError where a state of `Rounds` does not fit the task."""
    C, T, dx, du = task.conditions, task.horizon, lc.state_dim(task), task.du
    controller = {"K": (C, T, du, dx), "k": (C, T, du), "cov": (C, T, du, du)}
    trials = {
        "x": (C, "N", T + 1, dx),
        "u": (C, "N", T, du),
        "o": (C, "N", T + 1, task.do),
        "used": (C, "N", T),
    }
    each = {name: (C,) for name in ("cost", "multiplier", "predicted", "lead")}
    local = {"controller": controller, **trials, **each, "trials": int, "steps": int}
    form = {"number": int, "controller": controller, "prior": dict, "local": local}
    if manifold_of(task):
        form["origin"] = (C, T + 1, task.dx)
    check_tree({key: state.get(key) for key in form}, form, "state")


def unfreeze(tree: dict[str, Any]) -> LinearGaussianController:
    """Returns controllers out of a tree."""
    return LinearGaussianController(**tree)
