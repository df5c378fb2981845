"""A planner in the model that is imagined in, with the learner's value at the end of its horizon.

Where the reward is learned it is a coordinate of what is imagined in; a planner then has a model of
the state alone, and a network of what steps pay, as the other planning methods have.
"""

from typing import Any

import numpy as np

from dynamics import Ensemble

from ...imagination.steps.imagined_data import ImaginedData
from ...interfaces import State, Task
from ...learners.learned_reward import LearnedReward
from ...learners.learned_value import LearnedValue
from ...learners.off_policy import OffPolicy
from ...planners.models import LearnedModel, PlanningModel, SimulatorModel
from ...rollout import Trajectories
from .saving import TaskMPC


class ValuedPlanner:
    """The planner, and what it has of its own; a part of a run's state."""

    def __init__(self, task: Task, c: Any, imagined: ImaginedData):
        """`c` are the settings of `valued_mpc`."""
        self.task, self.c, self.imagined = task, c, imagined
        env_model, self.model, self.reward = imagined.env_model, None, None
        if env_model.learns_reward:
            self.model = Ensemble(c.members, hidden=c.model_hidden, steps=c.fit_steps)
            self.reward = LearnedReward(c.model_hidden, c.fit_steps, c.capacity)
        dynamics = self.model or env_model.model
        model: PlanningModel = (
            SimulatorModel(task) if c.model == "simulator" else LearnedModel(dynamics)
        )
        self.mpc = TaskMPC(task, model, c.planner, c.model, c.horizon, reward=self.reward)

    def acts(self, run: OffPolicy) -> Any:
        """Returns who acts: the planner, once it knows all that it plans by, and before it the learner's
        policy.
        """
        if run.env_steps < self.c.warm_up or (self.reward and not self.reward.ready):
            return run.learner.policy
        self.mpc.value = LearnedValue.of(self.task, run.learner) if self.c.value else None
        return self.mpc

    def prepare(self, run: OffPolicy) -> None:
        """Comes after each step: fits models, and imagines, when it is time to."""
        self.imagined.prepare(run)
        after = run.env_steps - self.c.warm_up
        if self.model and (run.offline or after % self.c.fit_every == 0):
            self.model.fit(*run.buffer.transitions, run.rng)

    def learn(self, found: Trajectories, rng: np.random.Generator) -> None:
        """Learns what the episodes of a round paid, where the task does not tell it."""
        if self.reward:
            self.reward.fit(found, rng)

    def begin_round(self) -> None:
        """Counts the model's predictions anew."""
        self.mpc.calls = self.mpc.acts = 0

    def calls_per_step(self) -> float:
        """Returns the model's predictions for each step of the round."""
        return self.mpc.calls / max(self.mpc.acts, 1)

    def state(self) -> State:
        """Returns all that `load_state` needs."""
        if self.model is None or self.reward is None:
            return {}
        return {"model": self.model.state(), "reward": self.reward.state()}

    def load_state(self, state: State) -> None:
        """Takes over what `state` returned."""
        if self.model is not None and self.reward is not None:
            self.model.load_state(state["model"])
            self.reward.load_state(state["reward"])
