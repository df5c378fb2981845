"""MB-MF: MPC in a learned network teaches a neural policy, which a model-free method then improves.

Nagabandi, Kahn, Fearing & Levine, Neural Network Dynamics for Model-Based Deep Reinforcement
Learning with Model-Free Fine-Tuning (2018), sections IV and V:

    planning     rounds of MPC by random shooting; all transitions go to the network (algorithm 1)
    imitation    the policy is cloned from the MPC's trials; then it is tried itself, and the MPC says what it would
                 have done in the states where it came (DAgger; Ross, Gordon & Bagnell 2011)
    fine-tuning  rounds of a library's TRPO, or PPO, from that policy

What is learned in each, f the network, pi the policy and u* the action of the MPC:

    f   <- arg min  sum |f(x, u) - (x' - x)|^2
    pi  <- arg min  1/2 sum |u*(x) - mean of pi(o)|^2
    pi  <- arg max  E[pi(u | o) / pi_old(u | o) A(o, u)]    where KL(pi_old || pi) <= 0.01    (TRPO)

The library's critic begins with the returns of the trials of the imitation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from dynamics.storage.tree import check_tree
from lqr import InputError

from ..interfaces import Array, Iteration, State, Task
from ..learners import sb3 as model_free
from ..planners import RandomShooting
from ..planners.models import Learned, Simulated, World
from ..policies.mlp import NeuralPolicy
from ..rollout import metrics_of, rollout
from ..saving import build_policy
from ..settings import Rule, count, counts, one_of, positive, share
from . import model_evaluation as foresight
from . import rs_mpc
from .loop import COUNTS, aggregate, controller, make_model
from .policy import MPC

JUDGE = 12345  # seed of the starts from which the policy is judged


@dataclass(frozen=True)
class Config(rs_mpc.Config):
    """Settings of MB-MF."""

    iterations: int = 25  # rounds in all: of planning, then of imitation, the rest of fine-tuning
    planning: int = 5  # rounds of MPC
    imitation: int = 5  # rounds of imitation, the first by trials of the MPC
    policy_hidden: tuple[int, ...] = (64, 64)  # units of the policy's hidden layers
    policy_steps: int = 2000  # minibatch steps of each regression of the policy
    policy_rate: float = 3e-3  # learning rate at the start of each regression of the policy
    # exploration of the policy at first, as a share of half the action range
    policy_std: float = 0.5
    library: str = "trpo"  # fine-tuning by: trpo, ppo
    tune_steps: int = 2000  # environment steps in each round of fine-tuning
    tune_rate: float = 1e-3  # learning rate of fine-tuning; with trpo, of its critic
    discount: float = 0.95  # of fine-tuning
    judged: int = 10  # noise-free episodes of each condition that tell policy_cost; nothing is learned from them

    RULES: ClassVar[dict[str, Rule]] = {
        **{
            "planning": count,
            "imitation": count,
            "policy_hidden": counts,
            "policy_steps": count,
            "judged": count,
        },
        **{
            "policy_std": positive,
            "policy_rate": positive,
            "tune_rate": positive,
            "library": one_of(*model_free.LIBRARIES),
            "tune_steps": count,
            "discount": share,
        },
    }


def train(
    task: Task, config: Config, rng: np.random.Generator, state: State | None = None
) -> Iterator[Iteration]:
    """Yields one Iteration per round; `state` continues from an earlier Iteration's.

    The policy is the MPC in rounds of planning, and neural from then on. Raises InputError for a
    task that cannot be planned in, for rounds of fine-tuning shorter than an episode, and where the
    library is missing.
    """
    model_free.refuse(config.library, task, config.tune_steps)
    if config.iterations < config.planning + config.imitation:
        least = f"{config.planning} of planning and {config.imitation} of imitation"
        raise InputError(f"iterations is {config.iterations}; expected at least those {least}")
    c = config.settled()
    planner = RandomShooting(c.plans)
    if state is None or "plan" in state:
        plan = replace(c, iterations=c.planning)
        for row in aggregate(task, planner, plan, rng, state["plan"] if state else None):
            state = {"plan": row.state}
            more = {"phase": 0.0, "policy_cost": row.scalars["cost"], "policy_loss": 0.0}
            yield row._replace(scalars=row.scalars | more, state=state)
        assert state is not None
        state = begin(task, c, state["plan"], rng)
    else:
        check_tree(state, _form(task, state), "state")
    expert = mpc(task, planner, c, state["model"])
    while state["number"] < c.planning + c.imitation:
        yield (row := imitate(task, c, expert, state, rng))
        state = row.state
    while state["number"] < c.iterations:
        yield (row := fine_tune(task, c, state, rng))
        state = row.state


def _form(task: Task, state: State) -> dict[str, Any]:
    """Returns the form of a state of imitation, or of fine-tuning, whose own parts are checked
    where they are used.
    """
    form: dict[str, Any] = {**COUNTS, **dict.fromkeys(("policy", "model", "foresight"), dict)}
    if "taught" not in state:
        return form | {"tuned": dict}
    return form | {
        "taught": {"o": ("answers", task.do), "u": ("answers", task.du), "togo": ("answers",)}
    }


def begin(task: Task, c: Any, state: State, rng: np.random.Generator) -> State:
    """Returns what imitation begins with: a policy that knows nothing, and the model."""
    half = 0.5 * (task.action_high - task.action_low)
    std, limits = c.policy_std * half, (task.action_low, task.action_high)
    policy = NeuralPolicy.create(task.do, task.du, c.policy_hidden, std, rng, *limits)
    so_far = {name: state[name] for name in ("number", "best", "episodes", "steps")}
    return {**so_far, "model": state.get("model", {}), "policy": policy.state(), "foresight": {}}


def mpc(task: Task, planner: RandomShooting, c: Any, model_state: State) -> MPC:
    """Returns the MPC in the model of that state, or in the simulator."""
    world: World = Simulated(task)
    if c.model != "simulator":
        model = make_model(c.model, c)
        model.load_state(model_state)
        world = Learned(model, c.propagation, c.particles)
    return controller(task, world, planner, c.model, c.horizon)


def imitate(task: Task, c: Any, expert: MPC, state: State, rng: np.random.Generator) -> Iteration:
    """Tries the expert, once, or the policy; asks the expert about the states; fits the policy to
    all answers.
    """
    policy, before = build_policy(state["policy"], "state"), state.get("taught")
    expert.calls = expert.acts = 0
    trials = rollout(task, policy if before else expert, np.arange(task.conditions), c.samples, rng)
    sound = trials.valid
    answers = sound.u
    if before:
        answers = np.stack([expert.sample(sound.x[:, t], t, rng) for t in range(task.horizon)], 1)
    ahead = foresight.look(
        foresight.before(expert.world), expert, task, trials, np.random.default_rng(state["number"])
    )
    new = {"o": sound.o[:, :-1], "u": answers, "togo": model_free.costs_to_go(sound, c.discount)}
    taught = {name: a[sound.mask] for name, a in new.items()}
    taught = (
        {name: np.concatenate([before[name], a]) for name, a in taught.items()}
        if before
        else taught
    )
    per_action = np.diag(4.0 / (task.action_high - task.action_low) ** 2)
    precision = np.tile(per_action, (len(taught["o"]), 1, 1))
    loss = policy.fit(taught["o"], taught["u"], precision, rng, c.policy_steps, rate=c.policy_rate)
    told = {
        "model_calls": expert.calls / max(expert.acts, 1),
        **ahead.scalars,
        "policy_loss": loss,
        "phase": 1.0,
    }
    finite = all(np.isfinite(a).all() for a in ahead.arrays.values())  # as what is saved has to be
    state = state | {"taught": taught, "foresight": ahead.arrays if finite else {}}
    return report(task, c, state, policy, trials.costs, int(trials.length.sum()), told)


def fine_tune(task: Task, c: Any, state: State, rng: np.random.Generator) -> Iteration:
    """One update of the library's, from the policy's own trials."""
    policy: Any = build_policy(state["policy"], "state")
    tuned = state.get("tuned")
    if tuned is None:
        known = state["taught"]
        tuned = model_free.begin(
            c.library, task, policy, known["o"], known["togo"], c.discount, rng
        )
        state = {name: part for name, part in state.items() if name not in ("taught", "model")} | {
            "model": {}
        }
    how = c.discount, c.tune_steps, c.tune_rate
    policy, tuned, cost = model_free.update(c.library, task, policy, tuned, *how, rng)
    told = {"model_calls": 0.0, "policy_loss": 0.0, "phase": 2.0}
    return report(task, c, state | {"tuned": tuned}, policy, cost, c.tune_steps, told)


def report(
    task: Task,
    c: Any,
    state: State,
    policy: NeuralPolicy,
    cost: Array,
    steps: int,
    told: dict[str, float],
) -> Iteration:
    """Returns the Iteration of a round whose episodes had these costs (K,), NaN where one diverged,
    in so many steps.

    The policy's cost, and the task's metrics, are those of noise-free trials beside the training,
    from the same starts in each round. What the model foresaw is told of the last round of
    imitation from then on.
    """
    sound = cost[np.isfinite(cost)]
    judged = rollout(
        task, policy, np.arange(task.conditions), c.judged, np.random.default_rng(JUDGE), noise=0.0
    )
    shown = judged.valid
    state = state | {
        "number": state["number"] + 1,
        "best": min(state["best"], float(sound.min())),
        "episodes": state["episodes"] + len(cost),
        "steps": state["steps"] + steps,
        "policy": policy.state(),
    }
    scalars = {
        "rollouts": float(state["episodes"]),
        "env_steps": float(state["steps"]),
        "cost": float(sound.mean()),
        **{name: float(value.mean()) for name, value in metrics_of(task, shown).items()},
        "best_cost": state["best"],
        "model_calls": told["model_calls"],
        **{name: told.get(name, 0.0) for name in ("model_error", *foresight.NAMES)},
        "diverged": float(len(cost) - len(sound) + judged.failed.sum()),
        "phase": told["phase"],
        "policy_cost": float(shown.costs.mean()),
        "policy_loss": told["policy_loss"],
    }
    per = judged.costs.reshape(task.conditions, -1).mean(1)
    x = judged.x.reshape(task.conditions, -1, *judged.x.shape[1:])
    arrays = {"policy_cost": per, "policy_x": x[:, 0], **state["foresight"]}
    return Iteration(state["number"], policy, scalars, arrays, state)
