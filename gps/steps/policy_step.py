"""The global half of an iteration: one neural policy, the recent trials it is trained on, and how
it does.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import State, Task
from agents.policies import make_policy
from agents.rollout import metrics_of, rollout
from agents.saving import build_policy, state_of
from dynamics import Chart
from dynamics.storage.tree import check_tree
from lqr import InputError, LinearGaussianController, TrajectoryDistribution, kl_divergence

from . import trajectory_step as lc
from .distillation import controllers_lesson, teach
from .linearise import linearise, observation_slopes, slopes, with_jacobian, with_mixture
from .local_policies import Known
from .policy_lag import Imitation, within_reach
from .settings import Neural

Array = np.ndarray


class Seen(NamedTuple):
    """Where the policy is taught: states, what it observed there, and which steps took place."""

    x: Array  # (C, N, T, dx)
    o: Array  # (C, N, T, do)
    used: Array  # (C, N, T), 0 or 1


class Student:
    """The policy and the trials of the last iterations."""

    def __init__(
        self,
        task: Task,
        config: Neural,
        std: float,
        rng: np.random.Generator,
        state: State | None = None,
        remembers: bool = True,
    ):
        """`remembers` is False where the method keeps the trials itself, and none are handed to
        `see`.
        """
        self.task, self.config = task, config
        self.replay: list[Seen] = []  # oldest first
        self.imitation = Imitation(config, state["lagging"] if state else 0)
        if state:
            check_state(state, task, config.replay if remembers else 0)
            self.policy = build_policy(state["policy"], "state")
            self.replay = [Seen(**trial) for _, trial in sorted(state["replay"].items())]
        else:
            self.policy = make_policy(
                config.policy, task, config.hidden, std * lc.action_scale(task), rng
            )

    def see(self, new: lc.Local, chart: Chart | None = None) -> Seen:
        """Adds trials to the replay, and returns all that is in it, in the coordinates of a chart
        if given.
        """
        x = new.x if new.chart is None else new.chart.from_tangent(new.x)
        one = Seen(x[:, :, :-1].copy(), new.o[:, :, :-1].copy(), new.used)
        self.replay = [*self.replay, one][-self.config.replay :]
        return self.seen(chart)

    def seen(self, chart: Chart | None = None) -> Seen:
        """Returns all that is in the replay, in the coordinates of a chart if given."""
        seen = Seen(*(np.concatenate(parts, axis=1) for parts in zip(*self.replay, strict=True)))
        return seen if chart is None else seen._replace(x=chart.to_tangent(seen.x))

    def trusted(self, seen: Seen, known: Known) -> Seen:
        """Returns what is seen without the states of earlier iterations that lie outside the trust
        region, if any.
        """
        if self.config.replay_radius is None:
            return seen
        near = within_reach(seen.x, known, self.config.replay_radius)
        now = self.replay[-1].x.shape[1]
        near[:, -now:] = 1.0
        return seen._replace(used=seen.used * near)

    def linearised(self, seen: Seen, **how: Any) -> LinearGaussianController:
        """Returns the policy as a controller along these trials; `how` are arguments of
        `linearise`.

        Raises InputError where the policy has no derivatives and the config asks for them.
        """
        policy, word = self.policy, self.config.linearisation
        cov = policy.cov if hasattr(policy, "cov") else policy.covariance(seen.o)
        along, latest = (seen.x, policy.mean(seen.o), cov, seen.used), how.get("latest", 0)
        if word == "mixture":
            return with_mixture(*along, latest=latest)
        if word == "jacobian":
            if not hasattr(policy, "jacobian"):
                name = type(policy).__name__
                raise InputError(
                    f"got linearisation jacobian with a {name}, which has none; expected regression"
                )
            slope = observation_slopes(seen.x, seen.o, seen.used)
            return with_jacobian(*along, policy.jacobian(seen.o), slope, latest)
        return linearise(*along, **how)

    def distil(
        self,
        teacher: LinearGaussianController,
        seen: Seen,
        rng: np.random.Generator,
        nu: Array | None = None,
        lean: Array | float = 0.0,
    ) -> float:
        """Trains the policy towards the teachers; returns the loss. See the function of that
        name.
        """
        return distil(
            self.policy, teacher, seen, rng, self.imitation.steps, self.config.policy_rate, nu, lean
        )

    def report(self, rng: np.random.Generator) -> tuple[dict[str, float], dict[str, Array]]:
        """Returns metrics and arrays from noise-free trials of the policy."""
        shown = rollout(self.task, self.policy, np.arange(self.task.conditions), 1, rng, noise=0.0)
        ended = shown.valid
        scalars = {
            "policy_cost": float(ended.costs.mean()),
            **{
                f"policy_{name}": float(value.mean())
                for name, value in metrics_of(self.task, ended).items()
            },
            "policy_diverged": float(shown.failed.sum()),
        }
        return scalars, {"policy_cost": shown.costs, "policy_x": shown.x}

    def state(self) -> dict[str, Any]:
        """Returns, as a tree, all that a new `Student` needs to go on."""
        return {
            "policy": state_of(self.policy),
            "replay": dict(self._numbered()),
            "lagging": self.imitation.row,
        }

    def _numbered(self) -> Iterator[tuple[str, dict[str, Array]]]:
        for i, trial in enumerate(self.replay):
            yield f"{i:03d}", trial._asdict()


def check_state(state: State, task: Task, most: int) -> None:
    """Raises CheckpointError where a state of `Student` does not fit the task, or `most` iterations
    of trials.
    """
    check_tree({"number": state.get("number")}, {"number": int}, "state")
    C, T = task.conditions, task.horizon
    names = [f"{i:03d}" for i in range(min(state["number"], most))]
    replay = {
        n: {"x": (C, n, T, task.dx), "o": (C, n, T, task.do), "used": (C, n, T)} for n in names
    }  # n stands for N
    form = {"policy": dict, "replay": replay, "lagging": int}
    check_tree({key: state.get(key) for key in form}, form, "state")


def with_neighbours(seen: Seen, copies: int, spread: float, rng: np.random.Generator) -> Seen:
    """Adds states near those seen, `copies` for each, so that a policy learns its teachers'
    feedback as well.

    A state is moved by `spread` times the deviation from the mean of another trial of that
    condition within eight steps, and its observation by as much to first order. For observations
    that are smooth in the state.
    """
    (_, N, T, _), G = seen.x.shape, slopes(*seen)
    total = np.maximum(seen.used.sum(1), 1e-12)[:, None, :, None]
    deviation = seen.used[..., None] * (
        seen.x - (seen.used[..., None] * seen.x).sum(1, keepdims=True) / total
    )
    x, o = [seen.x], [seen.o]
    for _ in range(copies):
        trial, lag = rng.integers(N, size=(N, 1)), rng.integers(-8, 9, size=(N, 1))
        step = spread * deviation[:, trial, np.clip(np.arange(T) + lag, 0, T - 1)]
        x.append(seen.x + step)
        o.append(seen.o + np.einsum("ctij,cntj->cnti", G, step))
    return Seen(*(np.concatenate(parts, axis=1) for parts in (x, o, [seen.used] * (copies + 1))))


def with_forecast(
    seen: Seen,
    ahead: TrajectoryDistribution,
    latest: int,
    copies: int,
    spread: float,
    rng: np.random.Generator,
) -> Seen:
    """Adds states where new controllers are about to go, `copies` for each condition and step,
    drawn from `ahead`.

    `ahead` are the marginals of the new controllers under the model; the draws lie `spread` times
    as far from the mean as these say, and the first one of each step is the mean. What is observed
    there is that of the mean of the `latest` trials, moved to first order. For observations that
    are smooth in the state.
    """
    if not copies:
        return seen
    dx, used = seen.x.shape[-1], seen.used[:, -latest:]
    share = (used / np.maximum(used.sum(1, keepdims=True), 1))[..., None]
    x0, o0 = ((share * a[:, -latest:]).sum(1)[:, None] for a in (seen.x, seen.o))  # (C, 1, T, .)
    values, vectors = np.linalg.eigh(ahead.cov[:, :-1, :dx, :dx])
    root = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    z = rng.standard_normal((len(root), copies, *root.shape[1:3]))
    z[:, :1] = 0.0
    x = ahead.mean[:, None, :-1, :dx] + spread * np.einsum("ctij,cntj->cnti", root, z)
    o = o0 + np.einsum("ctij,cntj->cnti", slopes(*seen), x - x0)
    took_place = np.repeat(used.any(1, keepdims=True), copies, axis=1).astype(float)
    return Seen(
        *(np.concatenate(parts, axis=1) for parts in zip(seen, (x, o, took_place), strict=True))
    )


def distil(
    policy: Any,
    teacher: LinearGaussianController,
    seen: Seen,
    rng: np.random.Generator,
    steps: int = 500,
    rate: float = 3e-3,
    nu: Array | None = None,
    lean: Array | float = 0.0,
) -> float:
    """Trains a policy towards the controllers' mean actions, less `lean` (C, T, du), at all states
    seen.

    Minimises sum nu KL(policy || teacher) with weights nu (C, T), 1 where it is None; see
    `distillation`. What a controller asks for beyond the range of actions is bounded, see
    `within_range`. Returns the loss per sample.
    """
    lesson = controllers_lesson(teacher._replace(k=teacher.k - lean), seen.x)
    lesson = lesson._replace(mean=within_range(lesson.mean, policy))
    weight = seen.used if nu is None else nu[:, None] * seen.used
    return teach(policy, lesson, seen.o, rng, weight, steps, rate)


def within_range(action: Array, policy: Any, slack: float = 1.0) -> Array:
    """Returns actions (..., du) no further outside the policy's limits than `slack` times half
    their range.

    A controller is linear: where a single trial went astray, it asks for a hundred times what can
    be applied, and one such trial among the squares of the regression would cost the policy all
    that it knows.
    """
    low, high = (
        np.asarray(getattr(policy, name, bound))
        for name, bound in (("low", -np.inf), ("high", np.inf))
    )
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
