"""An MPC that can be saved: it tells its task, planner, model and numbers, and is built of them
again.
"""

from dataclasses import asdict, fields
from typing import Any

import numpy as np

from dynamics import MODELS, PROPAGATIONS, Ensemble
from dynamics.capabilities import attached
from dynamics.propagation import MEMBERS
from dynamics.storage.tree import check_tree
from lqr import CheckpointError, InputError

from ...interfaces import Array, Cost, State, Task
from ...learners.learned_reward import LearnedReward
from ...learners.learned_value import LearnedValue
from ...planners import PLANNERS, Planner
from ...planners.models import LearnedModel, PlanningModel, SimulatorModel
from ...tasks import make_task
from ...tasks.capabilities import PlanningCost, capability
from ...tasks.costs.user_cost import WithCost
from .policy import MPC

MOST = 1_000_000  # of anything that a saved planner counts: sequences, iterations, steps, particles
NUMBERS = ("horizon", "replan_every", "particles")


class TaskMPC(MPC):
    """MPC for a task, with a planner and a model of the tables: it can be saved and built again."""

    needs_task = True  # `from_state` takes a task as well

    def __init__(
        self,
        task: Task,
        model: PlanningModel,
        planner: Planner,
        word: str,
        horizon: int,
        replan_every: int = 1,
        reward: LearnedReward | None = None,
        value: LearnedValue | None = None,
    ):
        """Plans by the task's `planning_cost`, or by a learned `reward`, in the model of that word,
        at most an episode ahead; what lies beyond costs a learned `value`.
        """
        self.task, self.word, self.reward = task, word, reward
        super().__init__(
            model,
            planner,
            reward or planning_cost(task),
            min(horizon, task.horizon),
            steps=task.horizon,
            low=task.action_low,
            high=task.action_high,
            replan_every=replan_every,
            dx=task.dx,
            value=value,
        )

    def with_cost(self, cost: Cost) -> "TaskMPC":
        """Returns the same model and planner after another goal; it is saved as one of the task
        with that cost.
        """
        other: Any = super().with_cost(cost)
        other.task, other.reward = WithCost(self.task, cost), None
        return other  # type: ignore[no-any-return]

    def state(self) -> State:
        """Returns what `from_state` needs. Raises InputError for a planner that is in no table."""
        word = next((word for word, kind in PLANNERS.items() if type(self.planner) is kind), None)
        if word is None:
            raise InputError(
                f"got the planner {self.planner!r:.200}; expected one of {', '.join(PLANNERS)}: "
                "enter your own, agents.planners.PLANNERS['a name'] = ITS_CLASS, a frozen dataclass"
            )
        planner: Any = self.planner
        learned = self.model if isinstance(self.model, LearnedModel) else None
        dynamics: Any = learned and learned.dynamics
        settings = {k: _leaf(v) for k, v in dynamics.settings.items()} if learned else {}
        return {
            "task": self.task.name,
            "planner": {"word": word, **asdict(planner)},
            "model": {
                "word": self.word,
                "settings": settings,
                "state": dynamics.state() if learned else {},
            },
            "numbers": {
                "horizon": self.horizon,
                "replan_every": self.replan_every,
                "particles": self.model.particles,
            },
            "propagation": learned.propagation if learned else "",
            "cost": np.zeros(self.task.horizon + 1) if self.reward else cost_probe(self.task),
            "reward": _reward_state(self.reward),
            **({"value": self.value.state()} if isinstance(self.value, LearnedValue) else {}),
        }

    @classmethod
    def from_state(cls, state: State, task: Task | None = None) -> "TaskMPC":
        """Builds the policy out of `state()`, in a task built by its name, or the one that is
        given.

        Raises CheckpointError for anything else, and where the task's cost is not the one that was
        planned for, such as a user's own, which no file brings along.
        """
        if "reward" not in state:  # saved before rewards could be learned
            state = {**state, "reward": {}}
        form = {"task": str, "numbers": dict.fromkeys(NUMBERS, int), "propagation": str}
        check_tree(
            {k: v for k, v in state.items() if k not in ("planner", "model", "cost")},
            form | {"reward": dict} | ({"value": dict} if "value" in state else {}),
            "mpc",
        )
        word, settings = state["model"]["word"], dict(state["planner"])
        kind: Any = PLANNERS.get(settings.pop("word"))
        within = all(1 <= number <= MOST for number in state["numbers"].values())
        if kind is None or word not in ("simulator", *MODELS) or not within:
            raise CheckpointError(
                f"mpc: got {str(state['planner'])[:200]} in {word!r:.80}; expected others: is it of this version?"
            )
        planner = _planner(kind, settings)
        task = _same_cost(state, task)
        model = SimulatorModel(task) if word == "simulator" else _learned(state, task)
        horizon, every = state["numbers"]["horizon"], state["numbers"]["replan_every"]
        value = LearnedValue.from_state(state["value"], task) if "value" in state else None
        reward = _reward(state["reward"], task)
        return cls(task, model, planner, word, horizon, every, reward, value)


def planning_cost(task: Task) -> Cost:
    """Returns the cost that plans of this task are evaluated by: `planning_cost`, where it names
    one, or its own.
    """
    other = capability(task, PlanningCost)
    return other.planning_cost if other else task.cost


def cost_probe(task: Task) -> Array:
    """Returns what `planning_cost` says of the steps of one fixed episode, (T+1,), by which another
    cost is told.
    """
    draw = np.random.default_rng(0)
    x, u = (
        draw.standard_normal((1, *shape))
        for shape in ((task.horizon + 1, task.dx), (task.horizon, task.du))
    )
    return np.asarray(planning_cost(task)(x, u)[0], dtype=float)


def _same_cost(state: State, task: Task | None) -> Task:
    """Returns the task of a state, of the length and with the cost that it had. Raises
    CheckpointError for another.
    """
    known: Any = state.get("cost")
    if task is None:
        task = make_task(state["task"])
        if np.ndim(known) == 1 and len(known) != task.horizon + 1:
            task = make_task(state["task"], horizon=len(known) - 1)
    check_tree({"cost": known}, {"cost": (task.horizon + 1,)}, "mpc")
    if not state["reward"] and not np.allclose(
        known, cost_probe(task), rtol=1e-6, atol=1e-9 * np.abs(known).max()
    ):
        raise CheckpointError(
            f"mpc: got a planner for another cost than that of {task.name}, such as a user's own, which no file "
            "brings along; expected load_policy(folder, task=TASK), with the task whose cost it planned for"
        )
    return task


def _planner(kind: Any, settings: dict[str, Any]) -> Planner:
    """Returns a planner with the settings of a file. Raises CheckpointError where they are not such
    as it may have.
    """
    names = {field.name for field in fields(kind)}
    numbers = {k: v for k, v in settings.items() if type(v) in (int, float)}
    odd = sorted(names ^ set(settings)) + [k for k, v in numbers.items() if not 0 <= v <= MOST]
    try:
        if not odd:
            return kind(**settings)
        found = str({name: str(settings.get(name))[:40] for name in odd})
    except (InputError, TypeError) as error:
        found = str(error)
    raise CheckpointError(
        f"mpc: got the planner's {found}; expected those of {kind.__name__}, at most {MOST}"
    )


def _learned(state: State, task: Task) -> LearnedModel:
    """Returns the learned model of a state. Raises CheckpointError where it does not fit the
    task.
    """
    word, settings = state["model"]["word"], state["model"]["settings"]
    made: Any = MODELS[word](
        **{k: tuple(v.tolist()) if isinstance(v, np.ndarray) else v for k, v in settings.items()}
    )
    attached(made, task).load_state(state["model"]["state"])
    way, particles = state["propagation"], state["numbers"]["particles"]
    members = isinstance(made, Ensemble) or way not in MEMBERS
    if way not in PROPAGATIONS or not members or (way == "mean" and particles > 1):
        raise CheckpointError(
            f"mpc: got {particles} particles by {way!r:.80} in this model; expected a way it has"
        )
    if made.normaliser is not None and (size := len(made.normaliser.mean)) != task.dx + task.du:
        raise CheckpointError(
            f"mpc: got a model of {size} numbers, expected {task.dx + task.du} for {task.name}"
        )
    return LearnedModel(made, way, particles)


def _reward_state(reward: LearnedReward | None) -> State:
    """Returns what `_reward` needs: the network, without the transitions that it learned from."""
    if reward is None:
        return {}
    return {"hidden": np.array(reward.model.hidden, float), "known": reward.known()}


def _reward(state: State, task: Task) -> LearnedReward | None:
    """Returns the learned reward of a state, None where there was none. Raises CheckpointError
    where it does not fit the task.
    """
    if not state:
        return None
    check_tree(state, {"hidden": ("layers",), "known": dict}, "mpc/reward")
    reward = LearnedReward(tuple(int(size) for size in state["hidden"]))
    reward.load_known(state["known"])
    normaliser = reward.model.normaliser
    if normaliser is not None and (size := len(normaliser.mean)) != 2 + task.dx + task.du:
        raise CheckpointError(
            f"mpc: got a reward of {size - 2} numbers, expected {task.dx + task.du} for {task.name}"
        )
    return reward


def _leaf(value: Any) -> Any:
    return np.array(value) if isinstance(value, tuple) else value
