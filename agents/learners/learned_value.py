"""What lies beyond a plan's horizon, by the critics of soft actor-critic.

    V(x)  =  - r min_j Q_j(h(x), pi(h(x))),      r the learner's unit of reward, h what a policy sees

A cost to go, up to a constant: of an episode that goes on, as a plan's last state is taken to do.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from dynamics.storage.tree import check_tree
from lqr import CheckpointError

from ..interfaces import Array, State, Task
from ..policies.squashed import SquashedPolicy
from ..tasks.capabilities import ObservationOf, capability
from .relu_networks import ReluNetworks
from .sac import SAC

AT_ONCE = 2**14  # states that are asked about together


class LearnedValue:
    """A function of states, which follows the learner as long as that goes on learning."""

    def __init__(self, task: Task, policy: SquashedPolicy, critic: ReluNetworks, unit: float):
        seen = capability(task, ObservationOf)
        self.see = seen.observation_of if seen else np.asarray
        self.policy, self.critic, self.unit = policy, critic, unit

    @classmethod
    def of(cls, task: Task, learner: SAC) -> "LearnedValue":
        """Returns the value of a learner's critics and policy."""
        return cls(task, learner.policy, learner.critic, float(learner.units.r_std))

    def __call__(self, x: Array) -> Array:
        """Returns the costs to go from states x (..., dx), (...); NaN where they are not finite."""
        flat = x.reshape(-1, x.shape[-1])
        parts = np.array_split(flat, max(-(-len(flat) // AT_ONCE), 1))
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.concatenate([self._rows(part) for part in parts])
        return found.reshape(x.shape[:-1])

    def state(self) -> State:
        """Returns all that `from_state` needs."""
        return {
            "policy": self.policy.state(),
            "critic": self.critic.flat.astype(float),
            "hidden": np.array(self.critic.sizes[1:-1], float),
            "layer_norm": self.critic.layer_norm,
            "unit": self.unit,
        }

    @classmethod
    def from_state(cls, state: State, task: Task) -> "LearnedValue":
        """Builds the value out of `state()`. Raises CheckpointError for anything else."""
        form: dict[str, Any] = {"policy": dict, "critic": ("P",), "hidden": ("layers",)}
        check_tree(state, form | {"layer_norm": bool, "unit": float}, "value")
        policy = SquashedPolicy.from_state(state["policy"])
        hidden = tuple(int(min(max(size, 1), 2**16)) for size in state["hidden"])
        sizes = (policy.do + policy.du, *hidden, 1)
        count = 2 * sum(a * b + b for a, b in pairwise(sizes))
        count += 4 * sum(hidden) * state["layer_norm"]
        if (policy.do, policy.du, count) != (task.do, task.du, len(state["critic"])):
            raise CheckpointError(
                f"value: got {len(state['critic'])} parameters of {policy.do} observations and {policy.du} actions; "
                f"expected {count} of {task.do} and {task.du} of {task.name}"
            )
        critic = ReluNetworks(sizes, 2, np.random.default_rng(0), state["layer_norm"])
        critic.flat[:] = state["critic"]
        return cls(task, policy, critic, state["unit"])

    def _rows(self, x: Array) -> Array:
        policy, o = self.policy, self.see(x)
        a = (policy.mean(o) - policy.middle) / policy.half
        seen = np.concatenate([(o - policy.centre) / policy.scale, a], 1)
        q = self.critic.forward(seen.astype(self.critic.dtype))[..., 0].min(0)
        value: Array = -self.unit * q.astype(float)
        return value
