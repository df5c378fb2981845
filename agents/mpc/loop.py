"""What the planning methods share: episodes of MPC, from which a model learns, which MPC plans in.

    try the policy (random actions at first); fit the model to all transitions so far (the last
    `history`); again

A method's page names its model, its planner and its numbers. Nothing here knows which methods there
are. With the model "simulator" nothing is learned: that is the ceiling. States x are planned in,
and the task's cost must be known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from dynamics import MODELS, PROPAGATIONS, Ensemble, Network
from dynamics.propagation import MEMBERS
from dynamics.replay_buffer import CAPACITY as TRANSITIONS
from dynamics.storage.tree import check_tree
from lqr import CheckpointError, InputError

from ..interfaces import Array, Cost, Iteration, State, Task
from ..planners import PLANNERS, Planner
from ..planners.models import Learned, Simulated, World
from ..rollout import Trajectories, metrics_of, run
from ..settings import Rule, count, counts, not_negative, one_of, or_none, whole
from ..tasks import make_task
from ..tasks.capabilities import LearnedCost, PlanningCost, capability, manifold_of
from . import model_evaluation as foresight
from .online_model import Learner
from .policy import MPC

MOST = 1_000_000  # of anything that a saved planner counts: sequences, iterations, steps, particles
COUNTS = {"number": int, "best": float, "episodes": int, "steps": int}  # in a state
Profile = Mapping[str, Any]  # values of fields that are None


@dataclass(frozen=True)
class Planned:
    """Settings of every planning method. A field that is None takes the profile's value."""

    profile: str = "cpu"  # cpu, or paper: the paper's numbers
    iterations: int = 10  # rounds of episodes
    samples: int = 1  # episodes of each condition in each round
    random: int = 1  # rounds of random actions at the start; with 0, until the model is fitted for the first time
    hold: int = 1  # steps that a random action is held
    # steps of an episode between fits of the model; 0: it is fitted at the end alone
    refit: int = 0
    model: str = "ensemble"  # world to plan in: nn, ensemble, gp, or simulator, the task's own
    propagation: str | None = None  # of the model's uncertainty: mean, sample, ts1, tsinf, moment
    particles: int | None = None  # trajectories of each action sequence
    horizon: int | None = None  # steps planned ahead
    hidden: tuple[int, ...] | None = None  # units of a network's hidden layers
    # networks of an ensemble; with ts1, tsinf, moment, particles are a multiple of them
    members: int = 5
    history: int = TRANSITIONS  # that the model is fitted to, at most: the newest
    fit_steps: int = 1000  # minibatch steps of each regression, twice as many on a fresh start
    unroll: int = 1  # steps that the loss of a network looks ahead, open loop
    screen: bool = True  # leave gross outliers out of a network's fit, such as blows; not what an object is pushed by
    # deviations over particles by which a sequence is priced below its mean cost, at first
    optimism: float = 0.0
    optimistic: int = 25  # rounds of optimism, if any; then the model is trusted

    PROFILES: ClassVar[Mapping[str, Profile]] = {}
    RULES: ClassVar[dict[str, Rule]] = {
        **{
            "iterations": count,
            "samples": count,
            "random": whole,
            "fit_steps": count,
            "unroll": count,
            "members": count,
            "hidden": or_none(counts),
        },
        **{"hold": count, "refit": whole},
        **{
            "particles": or_none(count),
            "horizon": or_none(count),
            "propagation": or_none(one_of(*PROPAGATIONS)),
        },
        **{"optimism": not_negative, "optimistic": whole},
        "model": one_of("simulator", *MODELS),
        "history": count,
    }

    def __post_init__(self) -> None:
        rules = {
            k: v
            for base in reversed(type(self).__mro__)
            for k, v in vars(base).get("RULES", {}).items()
        }
        for name, rule in ({"profile": one_of(*self.PROFILES)} | rules).items():
            expected = rule(getattr(self, name))
            if expected:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected {expected}")

    def settled(self) -> Any:
        """Returns the settings with the profile's values where a field is None."""
        values = self.PROFILES[self.profile]
        found = replace(self, **{k: v for k, v in values.items() if getattr(self, k) is None})
        if found.model != "ensemble" and found.propagation in MEMBERS:  # members are an ensemble's
            found = replace(found, propagation="mean", particles=1)
        found = replace(found, particles=1) if found.propagation == "mean" else found
        if found.model == "simulator":  # it has one particle
            return replace(found, optimism=0.0)
        if found.optimism and found.particles == 1:
            raise InputError(
                f"optimism is {found.optimism:g} with one particle; expected 0, or several particles"
            )
        return found


def aggregate(
    task: Task,
    planner: Planner,
    config: Any,
    rng: np.random.Generator,
    state: State | None,
    every: int = 1,
) -> Iterator[Iteration]:
    """Yields one Iteration per round of episodes of MPC with this planner; `config` is a settled
    `Planned`.

    All hold the one policy whose model goes on learning: keep its `state()` to keep it as it is.
    Raises InputError for a task whose states lie on a manifold, or whose cost is not known
    beforehand.
    """
    refuse(task)
    learns = config.model != "simulator"
    model: Any = make_model(config.model, config) if learns else None
    world: World = (
        Learned(model, config.propagation, config.particles) if learns else Simulated(task)
    )
    policy = controller(task, world, planner, config.model, config.horizon, every)
    learner = Learner(model, config.refit, rng, config.history) if learns else None
    best, episodes, steps, first = np.inf, 0, 0, 1
    if state:
        check_tree(
            state, COUNTS | (dict.fromkeys(("seen", "model"), dict) if learner else {}), "state"
        )
        first, best, episodes, steps = (state[k] for k in COUNTS)
        first += 1
        if learner:
            learner.load_state(state)
    for number in range(first, config.iterations + 1):
        policy.calls = policy.acts = 0
        acts, unseen = number > config.random or not learner, foresight.before(world)
        policy.optimism = config.optimism if number <= config.optimistic else 0.0
        trials = trial(
            task,
            policy if acts else None,
            config.samples,
            rng,
            config.hold,
            learner if acts else None,
        )
        policy.optimism = 0.0  # who is given the policy does not want to explore
        seen = foresight.look(
            unseen, policy, task, trials, np.random.default_rng(number)
        )  # changes nothing
        error = learner.finish(trials) if learner else 0.0
        ended = trials.valid
        episodes = episodes + len(trials.u)
        steps = steps + int(trials.length.sum())
        best = min(best, float(ended.costs.min()))
        scalars = {
            "rollouts": float(episodes),
            "env_steps": float(steps),
            "cost": float(ended.costs.mean()),
            **{name: float(value.mean()) for name, value in metrics_of(task, ended).items()},
            "best_cost": best,
            "model_calls": policy.calls
            / max(policy.acts, 1),  # one-step predictions per environment step
            "model_error": error,
            **seen.scalars,
            "diverged": float(trials.failed.sum()),
        }
        frozen: State = {"number": number, "best": best, "episodes": episodes, "steps": steps}
        if learner:
            frozen |= learner.state()
        per = trials.costs.reshape(task.conditions, -1).mean(1)
        x = trials.x.reshape(task.conditions, -1, *trials.x.shape[1:])
        yield Iteration(number, policy, scalars, {"cost": per, "x": x, **seen.arrays}, frozen)


def refuse(task: Task) -> None:
    """Raises InputError for a task that cannot be planned in."""
    if manifold_of(task):
        raise InputError(
            f"{task.name} has states on a manifold; expected a plain vector: choose another method"
        )
    if capability(task, LearnedCost):
        raise InputError(
            f"{task.name} tells its cost by rewards alone; expected a `cost`, which a plan is priced by"
        )
    if not np.isfinite([task.action_low, task.action_high]).all():
        raise InputError(
            f"{task.name} has actions without limits; expected finite action_low and action_high"
        )


def trial(
    task: Task,
    policy: MPC | None,
    samples: int,
    rng: np.random.Generator,
    hold: int = 1,
    learner: Learner | None = None,
) -> Trajectories:
    """Returns `samples` episodes of each condition, of the policy or of uniformly random actions,
    each held a while.

    A `learner` watches, and until it knows something actions are random.
    """
    where = np.repeat(np.arange(task.conditions), samples)
    held: Array = np.zeros(0)

    def act(x: Array, o: Array, t: int) -> Array:
        nonlocal held
        if policy and (learner is None or learner.ready):
            return policy.sample(x, t, rng)
        if t % hold == 0:
            held = rng.uniform(task.action_low, task.action_high, (len(x), task.du))
        return held

    return run(task, act, where, rng, learner.watch if learner else None)


def make_model(word: str, config: Any) -> Any:
    """Returns a new model of that word."""
    if word not in ("ensemble", "nn"):
        return MODELS[word]()
    how: dict[str, Any] = {
        "hidden": tuple(config.hidden),
        "steps": config.fit_steps,
        "unroll": config.unroll,
    }
    how["reject_outliers"] = config.screen
    return Ensemble(config.members, **how) if word == "ensemble" else Network(**how)


def controller(
    task: Task, world: World, planner: Any, word: str, horizon: int, every: int = 1
) -> MPC:
    """Returns MPC in the world of that word, for the task's cost; it can be saved."""
    horizon = min(horizon, task.horizon)

    def about() -> dict[str, Any]:
        model = getattr(world, "model", None)
        settings = {k: _leaf(v) for k, v in model.settings.items()} if model else {}
        kind = next(name for name, kind in PLANNERS.items() if type(planner) is kind)
        return {
            "task": task.name,
            "planner": {"word": kind, **asdict(planner)},
            "model": {"word": word, "settings": settings, "state": model.state() if model else {}},
            "numbers": {"horizon": horizon, "every": every, "particles": world.particles},
            "propagation": getattr(world, "propagation", ""),
            "prices": prices(task),
        }

    T, low, high = task.horizon, task.action_low, task.action_high
    cost = planning_cost(task)
    return MPC(
        world,
        planner,
        cost,
        horizon,
        steps=T,
        low=low,
        high=high,
        every=every,
        dx=task.dx,
        about=about,
    )


def planning_cost(task: Task) -> Cost:
    """Returns the cost that plans of this task are priced by: `planning_cost`, where it names one,
    or its own.
    """
    other = capability(task, PlanningCost)
    return other.planning_cost if other else task.cost


def prices(task: Task) -> Array:
    """Returns what `planning_cost` says of the steps of one fixed episode, (T+1,), by which another
    cost is told.
    """
    draw = np.random.default_rng(0)
    x, u = (
        draw.standard_normal((1, *shape))
        for shape in ((task.horizon + 1, task.dx), (task.horizon, task.du))
    )
    return np.asarray(planning_cost(task)(x, u)[0], dtype=float)


def restored(state: dict[str, Any], task: Task | None = None) -> MPC:
    """Builds what `MPC.state` told, around a task built by its name, or the one that is given.

    Raises CheckpointError for anything else, and where the task's cost is not the one that was
    planned for, such as a user's own, which no file brings along.
    """
    numbers = {"horizon": int, "every": int, "particles": int}
    form = {"kind": str, "task": str, "numbers": numbers, "propagation": str}
    check_tree(
        {k: v for k, v in state.items() if k not in ("planner", "model", "prices")}, form, "mpc"
    )
    word, planner = state["model"]["word"], dict(state["planner"])
    kind: Any = PLANNERS.get(planner.pop("word"))
    sound = all(1 <= number <= MOST for number in state["numbers"].values())
    if kind is None or word not in ("simulator", *MODELS) or not sound:
        raise CheckpointError(
            f"mpc: got {str(state['planner'])[:200]} in {word!r:.80}; expected others: is it of this version?"
        )
    if planner.get("warm"):
        planner["warm"] = _planner(PLANNERS["cem"], planner["warm"])
    task = _priced_alike(state, task)
    world: World = Simulated(task) if word == "simulator" else _learned(state, task)
    numbers = state["numbers"]
    return controller(
        task, world, _planner(kind, planner), word, numbers["horizon"], numbers["every"]
    )


def _priced_alike(state: dict[str, Any], task: Task | None) -> Task:
    """Returns the task of a state, of the length and with the cost that it had. Raises
    CheckpointError for another.
    """
    known = state.get("prices")  # files of earlier versions do not say
    if task is None:
        task = make_task(state["task"])
        if known is not None and len(known) != task.horizon + 1:
            task = make_task(state["task"], horizon=len(known) - 1)
    if known is not None:
        check_tree({"prices": known}, {"prices": (task.horizon + 1,)}, "mpc")
        if not np.allclose(known, prices(task), rtol=1e-6, atol=1e-9):
            raise CheckpointError(
                f"mpc: got a planner for another cost than that of {task.name}, such as a user's own, which no file "
                "brings along; expected load_policy(folder, task=TASK), with the task whose cost it planned for"
            )
    return task


def _planner(kind: Any, settings: dict[str, Any]) -> Planner:
    """Returns a planner with the settings of a file. Raises CheckpointError where they are not such
    as it may have.
    """
    defaults = {field.name: field.default for field in fields(kind)}
    odd = sorted(set(defaults) ^ set(settings))
    for name, value in settings.items():
        default = defaults.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            fits = 0 <= value <= MOST and (default is None or type(default) in (int, float))
        else:
            fits = (
                value is None
                or type(value) is type(default)
                or type(value) is kind
                or default is None
            )
        odd += [] if fits else [name]
    if odd:
        found = {name: str(settings.get(name))[:40] for name in odd}
        raise CheckpointError(
            f"mpc: got the planner's {found}; expected those of {kind.__name__}, at most {MOST}"
        )
    return kind(**settings)


def _learned(state: dict[str, Any], task: Task) -> Learned:
    word, settings = state["model"]["word"], state["model"]["settings"]
    made: Any = MODELS[word](
        **{k: tuple(v.tolist()) if isinstance(v, np.ndarray) else v for k, v in settings.items()}
    )
    made.load_state(state["model"]["state"])
    way, particles = state["propagation"], state["numbers"]["particles"]
    members = isinstance(made, Ensemble) or way not in MEMBERS
    if way not in PROPAGATIONS or not members or (way == "mean" and particles > 1):
        raise CheckpointError(
            f"mpc: got {particles} particles by {way!r:.80} in this model; expected a way it has"
        )
    if made.normaliser is not None and (size := len(made.normaliser.centre)) != task.dx + task.du:
        raise CheckpointError(
            f"mpc: got a model of {size} numbers, expected {task.dx + task.du} for {task.name}"
        )
    return Learned(made, way, particles)


def _leaf(value: Any) -> Any:
    return np.array(value) if isinstance(value, tuple) else value
