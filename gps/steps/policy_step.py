"""The S-step: one global policy is trained on the recent episodes of all conditions, and
evaluated.
"""

from typing import Any

import numpy as np

from agents.interfaces import Iteration, State, Task
from agents.policies import make_policy
from agents.saving import build_policy, state_of
from agents.training import Training, measured
from dynamics import Chart
from dynamics.storage.tree import check_tree
from lqr import InputError, LinearGaussianController, TrajectoryDistribution, kl_divergence

from .distillation import controller_targets, fit_student
from .exploration import action_scale
from .linearise import linearise, observation_slopes, with_jacobian, with_mixture
from .local_data import LocalData, states
from .local_policies import LocalFit, LocalPolicies, Report
from .policy_data import (
    PolicyData,
    as_seen,
    joined,
    kept,
    restored,
    saved,
    saved_form,
    within_trust_region,
)
from .policy_lag import PolicyLag
from .seeing import SeeingSettings, sights, with_filters
from .settings import PolicySettings
from .trajectory_step import TrajectoryStep

Array = np.ndarray


class GlobalPolicy:
    """The policy, and the episodes of the last iterations."""

    def __init__(
        self,
        task: Task,
        config: PolicySettings,
        std: float,
        rng: np.random.Generator,
        state: State | None = None,
        keeps_data: bool = True,
    ):
        """Begins, or restores what an Iteration's state holds. Raises CheckpointError for another
        task's.

        `keeps_data` is False where the method keeps the episodes itself and never calls `add`.
        """
        self.task, self.config = task, config
        self.replay: list[PolicyData] = []  # oldest first
        self.lag = PolicyLag(config)
        if state:
            check_tree({"policy": state.get("policy")}, {"policy": dict}, "state")
            self.policy = build_policy(state["policy"], "state")
            seen = self.learner.do if self.learner is not self.policy else None
            check_state(state, task, config.replay if keeps_data else 0, seen)
            self.lag = PolicyLag(config, state["iterations_above_limit"])
            self.replay = [restored(part, task) for _, part in sorted(state["replay"].items())]
        else:
            noise = std * action_scale(task)
            self.policy = make_policy(config.policy, task, config.hidden, noise, rng)
            if isinstance(config, SeeingSettings):
                self.policy = with_filters(self.policy, task, config, rng)

    @property
    def learner(self) -> Any:
        """What is trained: the policy, or its layers where what comes before them is fixed; the
        replay then keeps what these see.
        """
        return self.policy.layers if getattr(self.policy, "fixed", False) else self.policy

    def add(self, new: LocalData, chart: Chart | None = None) -> PolicyData:
        """Adds episodes to the replay, and returns all that is in it, in the coordinates of a chart
        if given.
        """
        o = new.o[:, :, :-1]
        o = self.policy.features(o) if self.learner is not self.policy else o.copy()
        part = PolicyData(states(new)[:, :, :-1].copy(), o, new.used)
        self.replay = [*self.replay, kept(part, self.task)][-self.config.replay :]
        return self.all(chart)

    def all(self, chart: Chart | None = None) -> PolicyData:
        """Returns all that is in the replay, in the coordinates of a chart if given."""
        data = joined([as_seen(part) for part in self.replay])
        return data if chart is None else data._replace(x=chart.to_tangent(data.x))

    def within_trust_region(self, data: PolicyData, fit: LocalFit) -> PolicyData:
        """Returns the data without the states of earlier iterations that lie outside the trust
        region, where `replay_radius` asks for one.
        """
        if self.config.replay_radius is None:
            return data
        near = within_trust_region(data.x, fit, self.config.replay_radius)
        newest = self.replay[-1].x.shape[1]
        near[:, -newest:] = 1.0
        return data._replace(used=data.used * near)

    def linearised(
        self, data: PolicyData, reach: int = 2, strength: float = 1e-3, latest: int = 0
    ) -> LinearGaussianController:
        """Returns the policy as a controller along these episodes; the arguments are those of
        `linearise`.

        Raises InputError where the policy has no derivatives and the config asks for them.
        """
        policy, (x, o, used) = self.learner, data
        cov = policy.cov if hasattr(policy, "cov") else policy.covariance(o)
        mean = policy.mean(o)
        if self.config.linearisation == "mixture":
            return with_mixture(x, mean, cov, used, latest=latest)
        if self.config.linearisation == "jacobian":
            if not hasattr(policy, "jacobian"):
                raise InputError(
                    f"got linearisation jacobian with a {type(policy).__name__}, which has none; expected regression"
                )
            slope = observation_slopes(x, o, used)
            return with_jacobian(x, mean, cov, used, policy.jacobian(o), slope, latest)
        return linearise(x, mean, cov, used, reach, strength, latest)

    def distil(
        self,
        teacher: LinearGaussianController,
        data: PolicyData,
        rng: np.random.Generator,
        nu: Array | None = None,
        shift: Array | float = 0.0,
    ) -> float:
        """Trains the policy towards the teachers; returns the loss. See the function of that
        name.
        """
        return distil(
            self.learner,
            teacher,
            data,
            rng,
            steps=self.lag.policy_steps,
            rate=self.config.policy_rate,
            nu=nu,
            shift=shift,
        )

    def report(self, training: Training, rng: np.random.Generator) -> Report:
        """Returns metrics and arrays from noise-free evaluation episodes of the policy."""
        test = training.evaluate(self.policy, rng)
        scalars = {
            "policy_cost": float(test.valid.costs.mean()),
            **measured(self.task, test, "policy_"),
            "policy_diverged": float(test.failed.sum()),
        }
        return scalars, test.evaluated | sights(self.policy, test)

    def iteration(
        self,
        training: Training,
        scalars: dict[str, float],
        arrays: dict[str, Array],
        saved: State,
    ) -> Iteration:
        """Returns what a method with a global policy yields; `saved` is the rest of its state."""
        state = self.state()
        copy = build_policy(state["policy"], "state")
        return training.iteration(copy, scalars, arrays, saved | state)

    def state(self) -> dict[str, Any]:
        """Returns, as a tree, all that a new `GlobalPolicy` needs to go on."""
        return {
            "policy": state_of(self.policy),
            "replay": {f"{i:03d}": saved(part) for i, part in enumerate(self.replay)},
            "iterations_above_limit": self.lag.count,
        }


def report(
    local: LocalPolicies,
    policy: GlobalPolicy,
    fit: LocalFit,
    step: TrajectoryStep,
    rng: np.random.Generator,
    gap: Array,
    kl: Array,
) -> Report:
    """Returns the metrics row and the arrays for figures of both halves; gap and kl are those of
    `compare`.
    """
    scalars, arrays = local.report(fit, step, rng)
    evaluation, pictures = policy.report(local.training, rng)
    costs = scalars["cost"], evaluation["policy_cost"]
    lag = policy.lag.report(gap, kl, step.epsilon, costs)
    counts = local.training.counts()  # the policy's evaluation episodes are among them now
    return scalars | evaluation | lag | counts, arrays | pictures


def check_state(state: State, task: Task, largest: int, seen: int | None = None) -> None:
    """Raises CheckpointError where a state of `GlobalPolicy` does not fit the task, or `largest`
    iterations of episodes, of which the replay keeps `seen` numbers where that is no observation.
    """
    check_tree({"number": state.get("number")}, {"number": int}, "state")
    C, T = task.conditions, task.horizon
    names = [f"{i:03d}" for i in range(min(state["number"], largest))]
    parts = state["replay"] if isinstance(state.get("replay"), dict) else {}
    replay = {n: saved_form(parts.get(n), task, (C, n, T), seen) for n in names}  # n stands for N
    form = {"policy": dict, "replay": replay, "iterations_above_limit": int}
    check_tree({key: state.get(key) for key in form}, form, "state")


def distil(
    policy: Any,
    teacher: LinearGaussianController,
    data: PolicyData,
    rng: np.random.Generator,
    steps: int = 500,
    rate: float = 3e-3,
    nu: Array | None = None,
    shift: Array | float = 0.0,
) -> float:
    """Trains a policy towards the controllers' mean actions, minus `shift` (C, T, du), at all
    states of the data.

    Minimises sum nu KL(policy || teacher) with weights nu (C, T), 1 where it is None; see
    `distillation`. Imitation targets are clipped, see `within_range`. Returns the loss per sample.
    """
    targets = controller_targets(teacher._replace(k=teacher.k - shift), data.x)
    targets = targets._replace(mean=within_range(targets.mean, policy))
    weight = data.used if nu is None else nu[:, None] * data.used
    return fit_student(policy, targets, data.o, rng, weight, steps, rate)


def within_range(action: Array, policy: Any, slack: float = 1.0) -> Array:
    """Returns actions (..., du) clipped to the policy's limits plus `slack` times half their range.

    A controller is linear: after one diverged episode it may ask for a hundred times what can be
    applied. The clipping keeps such targets from dominating the squares of the regression.
    """
    low = np.asarray(getattr(policy, "low", -np.inf))
    high = np.asarray(getattr(policy, "high", np.inf))
    with np.errstate(over="ignore"):  # the largest numbers there are stand for no limits
        beyond = slack * 0.5 * (high - low)
        return np.clip(action, low - beyond, high + beyond)


def compare(
    student: LinearGaussianController,
    teacher: LinearGaussianController,
    under: TrajectoryDistribution,
) -> tuple[Array, Array]:
    """Returns the gap of the mean actions, policy - controller, (C, T, du), and KL(p || pi) per
    step, (C, T).
    """
    dx = student.K.shape[-1]
    mean = under.mean[:, :-1, :dx, None]
    gap = ((student.K - teacher.K) @ mean)[..., 0] + student.k - teacher.k
    return gap, kl_divergence(teacher, student, under)
