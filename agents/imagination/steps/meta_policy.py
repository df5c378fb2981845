"""A policy that adapts to each member of an ensemble by one step, and learns from where it adapts best."""

import numpy as np

from ...interfaces import Array, State
from ...learners.gaussian_layers import GaussianLayers
from ...learners.meta_gradient import Inner, meta_step, task_of
from ...learners.trust_region import Batch, batch_of
from ...policies.mlp import NeuralPolicy
from .imagined_episodes import imagined_episodes, member_costs
from .on_policy import Improved, OnPolicy, starts_of, with_units_of


class MetaPolicy:
    """The policy before it adapts; a run's policy is the one that adapted to all members together."""

    def __init__(self, run: OnPolicy):
        """Begins with the run's policy, or goes on from what `state` returned."""
        self.run, saved = run, run.training.saved
        self.policy = NeuralPolicy.from_state(saved["meta"]) if saved else run.policy
        names = sorted(saved["adapted"]) if saved else []
        run.adapted = [NeuralPolicy.from_state(saved["adapted"][name]) for name in names]
        self.numbers = {"kl": 0.0, "gain": 0.0}

    @property
    def members(self) -> int:
        """How many there are: one where the model is the simulator."""
        return int(self.run.c.members) if self.run.env_model.true is None else 1

    def improve(self) -> Improved:
        """Improves the policy in the model; returns what episodes cost in each member before its
        step, and in the same ones after it.
        """
        run, c = self.run, self.run.c
        self.policy = with_units_of(self.policy, run.buffer)
        for _ in range(c.updates):
            layers = GaussianLayers(self.policy)
            theta, inner = layers.flat(self.policy), self.steps()
            tasks = [
                task_of(step, theta, self.batch(layers.policy_of(step.adapted(theta)), k))
                for k, step in enumerate(inner)
            ]
            step = meta_step(theta, tasks, c.kl_step, c.damping)
            self.policy = layers.policy_of(step.theta)
            self.numbers = {"kl": step.kl, "gain": step.gain}
        return self.adapt()

    def adapt(self) -> Improved:
        """Adapts to each member, and to all together."""
        run, c, layers = self.run, self.run.c, GaussianLayers(self.policy)
        theta, inner = layers.flat(self.policy), self.steps()
        slope = np.mean([step.slope(theta) for step in inner], axis=0)
        run.policy = layers.policy_of(theta + c.inner_rate * slope)
        run.adapted = [layers.policy_of(step.adapted(theta)) for step in inner]
        fixed, seed = starts_of(run.buffer, c, c.validation, run.rng), int(run.rng.integers(2**31))
        first = self.costs(self.policy, fixed, seed)
        own = [self.costs(policy, fixed, seed)[k] for k, policy in enumerate(run.adapted)]
        return Improved(run.policy, c.updates, first, np.array(own), first[None])

    def steps(self) -> list[Inner]:
        """Returns each member's step, from new episodes in it."""
        layers = GaussianLayers(self.policy)
        theta, rate = layers.flat(self.policy), self.run.c.inner_rate
        return [Inner(layers, theta, self.batch(self.policy, k), rate) for k in range(self.members)]

    def batch(self, policy: NeuralPolicy, member: int) -> Batch:
        """Returns the steps of new imagined episodes of a policy in one member."""
        run, c = self.run, self.run.c
        x0 = starts_of(run.buffer, c, c.imagined, run.rng)
        horizon, which = min(c.imagined_steps, run.task.horizon), np.full(c.imagined, member)
        found = imagined_episodes(run.env_model, policy, x0, horizon, run.rng, which)
        return batch_of(GaussianLayers(policy), found, c.discount, c.smoothing)

    def costs(self, policy: NeuralPolicy, x0: Array, seed: int) -> Array:
        """Returns what episodes of a policy cost in each member, (members,)."""
        horizon = min(self.run.c.imagined_steps, self.run.task.horizon)
        return member_costs(self.run.env_model, policy, x0, horizon, seed)

    def state(self) -> State:
        """Returns what a run goes on from."""
        adapted = {f"{k:03d}": policy.state() for k, policy in enumerate(self.run.adapted)}
        return {"meta": self.policy.state(), "adapted": adapted}
