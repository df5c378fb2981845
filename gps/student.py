"""The global half of an iteration: one neural policy, the recent trials it is trained on, and how it does."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from agents.interfaces import State, Task
from agents.neural_policy import NeuralPolicy
from agents.rollout import rollout
from dynamics import Chart
from dynamics.storage import check_tree
from lqr import LinearGaussianController

from . import local as lc
from .linearise import linearise
from .settings import Neural

Array = np.ndarray


class Seen(NamedTuple):
    """Where the policy is taught: states, what it observed there, and which steps took place."""

    x: Array  # (C, N, T, dx)
    o: Array  # (C, N, T, do)
    used: Array  # (C, N, T), 0 or 1


class Student:
    """The policy and the trials of the last iterations."""

    def __init__(self, task: Task, config: Neural, std: float, rng: np.random.Generator, state: State | None = None):
        self.task, self.config = task, config
        self.replay: list[Seen] = []  # oldest first
        if state:
            self.policy = NeuralPolicy.from_state(state["policy"])
            C, T = task.conditions, task.horizon
            trial_form = {"x": (C, "N", T, task.dx), "o": (C, "N", T, task.do), "used": (C, "N", T)}
            for name, trial in state["replay"].items():
                check_tree(trial, trial_form, f"state/replay/{name}")
            self.replay = [Seen(**trial) for _, trial in sorted(state["replay"].items())]
        else:
            spread, limits = std * lc.action_scale(task), (task.action_low, task.action_high)
            self.policy = NeuralPolicy.create(task.do, task.du, config.hidden, spread, rng, *limits)

    def see(self, new: lc.Local, chart: Chart | None = None) -> Seen:
        """Adds trials to the replay, and returns all that is in it, in the coordinates of a chart if given."""
        x = new.x if new.chart is None else new.chart.curved(new.x)
        one = Seen(x[:, :, :-1], new.o[:, :, :-1], new.used)
        self.replay = [*self.replay, one][-self.config.replay :]
        seen = Seen(*(np.concatenate(parts, axis=1) for parts in zip(*self.replay, strict=True)))
        return seen if chart is None else seen._replace(x=chart.flat(seen.x))

    def linearised(self, seen: Seen) -> LinearGaussianController:
        """Returns the policy as a controller along these trials."""
        return linearise(seen.x, self.policy.mean(seen.o), self.policy.cov, seen.used)

    def distil(
        self,
        teacher: LinearGaussianController,
        seen: Seen,
        rng: np.random.Generator,
        nu: Array | None = None,
        lean: Array | float = 0.0,
    ) -> float:
        """Trains the policy towards the teachers; returns the loss. See the function of that name."""
        config = self.config
        return distil(self.policy, teacher, seen, rng, config.policy_steps, config.policy_rate, nu, lean)

    def report(self, rng: np.random.Generator) -> tuple[dict[str, float], dict[str, Array]]:
        """Returns metrics and arrays from noise-free trials of the policy."""
        shown = rollout(self.task, self.policy, np.arange(self.task.conditions), 1, rng, noise=0.0)
        scalars = {
            "policy_cost": float(shown.cost.sum(-1).mean()),
            **{f"policy_{name}": float(value.mean()) for name, value in self.task.metrics(shown.x, shown.u).items()},
        }
        return scalars, {"policy_cost": shown.cost.sum(-1), "policy_x": shown.x}

    def state(self) -> dict[str, Any]:
        """Returns, as a tree, all that a new `Student` needs to go on."""
        return {"policy": self.policy.state(), "replay": dict(self._numbered())}

    def _numbered(self) -> Iterator[tuple[str, dict[str, Array]]]:
        for i, trial in enumerate(self.replay):
            yield f"{i:03d}", trial._asdict()


def distil(
    policy: NeuralPolicy,
    teacher: LinearGaussianController,
    seen: Seen,
    rng: np.random.Generator,
    steps: int = 500,
    rate: float = 3e-3,
    nu: Array | None = None,
    lean: Array | float = 0.0,
) -> float:
    """Trains a policy towards the controllers' mean actions, less `lean` (C, T, du), at all states seen.

    Minimises sum nu KL(policy || teacher) with weights nu (C, T), 1 where it is None: each sample weighs nu times the
    precision of its controller, and the policy's covariance becomes the inverse of the controllers' mean precision
    (Levine, Finn et al. 2016, appendix A). Returns the loss per sample.
    """
    precision = np.linalg.inv(teacher.cov)  # (C, T, du, du)
    target = np.einsum("ctij,cntj->cnti", teacher.K, seen.x) + (teacher.k - lean)[:, None]
    weight = precision if nu is None else nu[..., None, None] * precision
    weight = np.broadcast_to(weight[:, None], (*target.shape, target.shape[-1]))
    rows = seen.used > 0
    policy.cov = np.linalg.inv(precision.mean((0, 1)))
    return policy.fit(seen.o[rows], target[rows], weight[rows], rng, steps, rate=rate)
