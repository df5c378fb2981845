"""Parts of the starts, a policy of each, and the one that they are distilled into."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.interfaces import State, Task
from agents.learners.gaussian_layers import GaussianLayers, divergences
from agents.learners.natural_gradient import Step
from agents.learners.trust_region import Batch, Pull, batch_of, improved, with_units
from agents.policies.mlp import NeuralPolicy
from agents.rollout import Trajectories, rollout

from ...steps.clusters import nearest
from ...steps.distillation import Targets, fit_student

Array = np.ndarray


class Parts:
    """Policies of the parts, the central one, and how far they were apart in each iteration.

    `state` and `load_state` as a model's.
    """

    central: NeuralPolicy
    policies: list[NeuralPolicy]

    def __init__(self, task: Task, c: Any):
        """`c` are the settings of divide and conquer."""
        self.task, self.c = task, c
        self.part_of = np.zeros(task.conditions, int)  # of each condition
        self.divided, self.loss = False, 0.0  # of the last distillation
        self.apart = np.zeros((0, c.parts, c.parts))  # (iterations, k, k), nats

    def begin(self, policy: NeuralPolicy) -> None:
        """Begins with one policy for all starts."""
        self.central, self.policies = policy, [policy]

    def conditions(self, i: int) -> Array:
        """Returns the conditions of part i."""
        return np.flatnonzero(self.part_of == i)

    def rollout(self, rng: np.random.Generator) -> Trajectories:
        """Returns episodes of each part's policy in its conditions, part by part."""
        found = [
            rollout(self.task, policy, self.conditions(i), self.c.samples, rng)
            for i, policy in enumerate(self.policies)
        ]
        return Trajectories(*(np.concatenate(part) for part in zip(*found, strict=True)))

    def divide(self, episodes: Trajectories, rng: np.random.Generator) -> None:
        """Divides the conditions by what is observed at the starts of these episodes; each part
        takes over the policy, in the units of these observations.
        """
        self.central = with_units(self.central, episodes)
        first = (episodes.o[:, 0] - self.central.centre) / self.central.scale
        starts = first.reshape(self.task.conditions, self.c.samples, -1).mean(1)
        found = nearest(starts, self.c.parts, rng)
        self.part_of = np.unique(found, return_inverse=True)[1]
        self.policies = [self.central] * (self.part_of.max() + 1)
        self.divided = True

    def batches(self, episodes: Trajectories) -> list[Batch]:
        """Returns the steps of each part's episodes; those of the first iteration stand by
        condition.
        """
        where = np.repeat(np.arange(self.task.conditions), self.c.samples)
        if len(self.apart):
            order = np.concatenate([self.conditions(i) for i in range(len(self.policies))])
            where = np.repeat(order, self.c.samples)
        layers = GaussianLayers(self.central)
        rows = [self.part_of[where] == i for i in range(len(self.policies))]
        parts = [Trajectories(*(a[row] for a in episodes)) for row in rows]
        return [batch_of(layers, part, self.c.discount, self.c.smoothing) for part in parts]

    def climb(self, batches: Sequence[Batch]) -> list[Step]:
        """Takes a step of each policy, drawn to the others as they were, and notes how far they are
        apart then.
        """
        layers = GaussianLayers(self.central)
        old = [layers.flat(policy) for policy in self.policies]
        steps = [
            improved(
                layers, old[i], batch, self.c.kl_step, self._pulls(i, old, batches), self.c.damping
            )
            for i, batch in enumerate(batches)
        ]
        new = [step.theta for step in steps]
        self.policies = [layers.policy_of(theta) for theta in new]
        apart = np.zeros((1, self.c.parts, self.c.parts))
        for i, batch in enumerate(batches):
            own = layers.gaussians(new[i], batch.x)
            for j, theta in enumerate(new):
                apart[0, i, j] = divergences(own, layers.gaussians(theta, batch.x)).mean()
        self.apart = np.concatenate([self.apart, apart])
        return steps

    def distil(self, batches: Sequence[Batch], rng: np.random.Generator) -> None:
        """Trains the central policy towards all others in the states of each, and lets these go on
        from it.
        """
        p = self.central
        o = [batch.x * p.scale + p.centre for batch in batches]
        targets = [
            Targets(
                policy.mean(seen),
                np.broadcast_to(np.linalg.inv(policy.cov), (len(seen), *policy.cov.shape)),
            )
            for policy, seen in zip(self.policies, o, strict=True)
        ]
        student = NeuralPolicy.from_state(p.state())
        self.loss = fit_student(
            student,
            Targets(*(np.concatenate(part) for part in zip(*targets, strict=True))),
            np.concatenate(o),
            rng,
            steps=self.c.distil_steps,
            rate=self.c.distil_rate,
        )
        self.central = student
        self.policies = [student] * len(self.policies)

    def state(self) -> State:
        """Returns all that `load_state` needs."""
        policies = {str(i): policy.state() for i, policy in enumerate(self.policies)}
        return {
            "central": self.central.state(),
            "policies": policies,
            "part_of": self.part_of.astype(float),
            "divided": self.divided,
            "loss": self.loss,
            "apart": self.apart,
        }

    def load_state(self, state: State) -> None:
        """Takes over what `state` returned."""
        self.central = NeuralPolicy.from_state(state["central"])
        ordered = sorted(state["policies"].items(), key=lambda item: int(item[0]))
        self.policies = [NeuralPolicy.from_state(part) for _, part in ordered]
        self.part_of, self.divided = state["part_of"].astype(int), state["divided"]
        self.loss = state["loss"]
        self.apart = state["apart"]

    def _pulls(self, i: int, thetas: Sequence[Array], batches: Sequence[Batch]) -> list[Pull]:
        """Returns what draws policy i to the others."""
        others = [j for j in range(len(thetas)) if j != i]
        if not (self.c.penalty and others):
            return []
        layers, weight = GaussianLayers(self.central), 0.5 * self.c.penalty / len(others)
        x = batches[i].x
        found = [Pull(x, weight, None, layers.gaussians(thetas[j], x)) for j in others]
        for j in others:
            at = batches[j].x
            found.append(Pull(at, weight, layers.gaussians(thetas[j], at), None))
        return found
