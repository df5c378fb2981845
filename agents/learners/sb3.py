"""Fine-tuning of a neural policy by a library's model-free method: PPO of Stable-Baselines3, TRPO
of sb3-contrib.

The policy's layers become those of the library's Gaussian policy, in units in which observations
are normalised and actions lie within -1 and 1; after each update they come back. The libraries
compute in single precision.
"""

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from dynamics.threads import one_thread
from lqr import Diverged, GPSError, InputError, NumericalError

from ..interfaces import Array, State, Task
from ..policies.mlp import NeuralPolicy
from ..rollout import Trajectories
from ..tasks.action_limits import bounded
from ..tasks.adapters.gymnasium_env import TaskEnv

LIBRARIES = {"ppo": "stable_baselines3:PPO", "trpo": "sb3_contrib:TRPO"}


def algorithm(word: str) -> Any:
    """Returns the library's class. Raises InputError where the library is not installed."""
    module, name = LIBRARIES[word].split(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError:
        raise InputError(
            f"{module} is not installed; expected it for fine-tuning by {word}: "
            'pip install -c constraints.txt -e ".[peers]"'
        ) from None


def refuse(word: str, task: Task, steps: int) -> None:
    """Raises InputError where the library is missing, or the task's actions or rounds of so many
    steps do not suit.
    """
    algorithm(word)
    if not bounded(task.action_low, task.action_high).all():
        raise InputError(
            f"{task.name} has actions without limits; expected finite ones, which are a library's units"
        )
    if not (task.action_low < task.action_high).all():
        raise InputError(
            f"{task.name} has the action limits {task.action_low} and {task.action_high}; expected low < high, "
            "which are a library's units: leave out an actuator that cannot move"
        )
    if steps < max(task.horizon, 2):
        raise InputError(
            f"tune_steps is {steps}; expected at least an episode's {task.horizon}, and 2"
        )


def begin(
    word: str,
    task: Task,
    policy: NeuralPolicy,
    o: Array,
    togo: Array,
    discount: float,
    rng: np.random.Generator,
    shaping: bool = False,
) -> State:
    """Returns what the library's learner starts from: the policy, and a critic that knows some
    costs to go (M,).

    They are those after observations o (M, do). Their spread is the unit of reward, so that targets
    are of size 1, and their mean is taken off: a constant in the cost is nothing to be learned. It
    is what going on for ever at a cost of `offset` per step would cost; see `TaskEnv`.
    """
    import torch

    mean = 0.0 if shaping else float(togo.mean())  # a potential has no constant in it
    per_reward = float(togo.std()) or 1.0
    offset = (1.0 - discount) * mean
    with own_numbers(rng), one_thread():
        model = learner(
            word, task, policy, per_reward, discount, steps=128, shaping=shaping, offset=offset
        )
        critic = [
            *model.policy.mlp_extractor.value_net.parameters(),
            *model.policy.value_net.parameters(),
        ]
        seen = torch.as_tensor((o - policy.centre) / policy.scale, dtype=torch.float32)
        target = torch.as_tensor((mean - togo) / per_reward, dtype=torch.float32)
        with torch.no_grad():
            model.policy.value_net.bias.fill_(target.mean())
        adam = torch.optim.Adam(critic, lr=3e-3)
        for _ in range(500):
            some = torch.randint(len(seen), (min(256, len(seen)),))
            adam.zero_grad()
            ((model.policy.predict_values(seen[some])[:, 0] - target[some]) ** 2).mean().backward()
            adam.step()
        return {"per_reward": per_reward, "offset": offset, **tree(model)}


def update(
    word: str,
    task: Task,
    policy: NeuralPolicy,
    state: State,
    discount: float,
    steps: int,
    rate: float,
    rng: np.random.Generator,
    shaping: bool = False,
) -> tuple[NeuralPolicy, State, Array]:
    """Returns the policy after one update of the library's from `steps` steps of the task, the
    state to go on from, and the costs of the episodes that ended in these steps (K,), NaN where one
    diverged."""
    with own_numbers(rng) as seed, one_thread():
        model = learner(
            word,
            task,
            policy,
            state["per_reward"],
            discount,
            steps=steps,
            rate=rate,
            shaping=shaping,
            offset=state["offset"],
        )
        load(model, state)
        model.get_env().seed(seed)
        learn(model, steps, f"{word} with tune_rate {rate}")
        costs = np.array(
            [np.nan if one["diverged"] else one["cost"] for one in model.ep_info_buffer]
        )
        if np.isnan(costs).all():
            raise Diverged(
                f"all {len(costs)} episodes of fine-tuning diverged in {task.name}; lower its noise"
            )
        return out_of(model, policy), state | tree(model), costs


def learn(model: Any, steps: int, what: str) -> None:
    """Lets a library's learner learn; raises NumericalError where its networks do not stay
    finite.
    """
    try:
        model.learn(steps, log_interval=None)
    except ValueError as error:  # torch refuses to draw from what is no number
        if isinstance(error, GPSError):
            raise
        raise NumericalError(
            f"fine-tuning by {what} failed: {str(error)[:80]}...; expected a smaller rate"
        ) from error
    if not all(p.isfinite().all() for p in model.policy.parameters()):
        raise NumericalError(
            f"fine-tuning by {what} gave weights that are no numbers; expected a smaller rate"
        )


def costs_to_go(episodes: Trajectories, discount: float, stays: Array | None = None) -> Array:
    """Returns the discounted cost to go from each step, (N, T).

    An episode that nothing but its length ended is taken to go on at the mean cost of all steps.
    With `stays` (N, T+1), what it costs to stay in a state for ever, it is the cost beyond that, and
    such an episode is taken to stay where it is.
    """
    togo = episodes.cost.copy()
    T = togo.shape[1] - 1
    if stays is None:
        rest = discount / (1 - discount) * episodes.cost[:, :-1][episodes.mask].mean()
        togo[:, -1] += np.where(episodes.length == T, rest, 0.0)
    else:
        togo[:, -1] = np.where(episodes.length == T, stays[:, -1], togo[:, -1])
    for t in range(T - 1, -1, -1):
        togo[:, t] += discount * togo[:, t + 1]
    return togo[:, :-1] - (0.0 if stays is None else stays[:, :-1])


def learner(
    word: str,
    task: Task,
    policy: NeuralPolicy,
    per_reward: float,
    discount: float,
    steps: int,
    rate: float = 1e-3,
    shaping: bool = False,
    offset: float = 0.0,
) -> Any:
    """Returns the library's learner whose policy is this one; its random numbers are the global
    ones.
    """
    import torch

    env = TaskEnv(
        task,
        policy.centre,
        policy.scale,
        per_reward,
        shaping=discount if shaping else None,
        endless=offset / (1.0 - discount),
        discount=discount,
    )
    watched = import_module("stable_baselines3.common.monitor").Monitor(
        env, info_keywords=("cost", "diverged")
    )
    hidden = [len(b) for b in policy.biases[:-1]]
    shape = {"net_arch": {"pi": hidden, "vf": hidden}, "activation_fn": torch.nn.Tanh}
    with warnings.catch_warnings():  # that the last batch of an epoch is smaller
        warnings.simplefilter("ignore", UserWarning)
        how: dict[str, Any] = {
            "n_steps": steps,
            "gamma": discount,
            "learning_rate": rate,
            "policy_kwargs": shape,
        }
        # as many episodes as may end in them; by default the last hundred are kept
        how["stats_window_size"] = steps
        model = algorithm(word)("MlpPolicy", watched, device="cpu", **how)
    into(model, policy)
    unlogged(model)
    return model


def unlogged(model: Any) -> None:
    """Keeps a learner of Stable-Baselines3 from leaving a folder of logs in the temporary folder at
    each `learn`.
    """
    model.set_logger(import_module("stable_baselines3.common.logger").Logger(None, []))


def into(model: Any, policy: NeuralPolicy) -> None:
    """Gives the library's policy the layers and the spread of this one."""
    import torch

    env = model.get_env().envs[0].unwrapped
    *weights, last = policy.weights
    *biases, offset = policy.biases
    layers = [*weights, last / env.half[:, None]], [*biases, (offset - env.middle) / env.half]
    with torch.no_grad():
        for layer, W, b in zip(_layers(model), *layers, strict=True):
            layer.weight.copy_(torch.as_tensor(W))
            layer.bias.copy_(torch.as_tensor(b))
        model.policy.log_std.copy_(
            torch.as_tensor(0.5 * np.log(np.diag(policy.cov)) - np.log(env.half))
        )


def out_of(model: Any, policy: NeuralPolicy) -> NeuralPolicy:
    """Returns the library's policy as one like `policy`, whose units and limits it has."""
    env = model.get_env().envs[0].unwrapped
    parts = [
        (x.weight.detach().double().numpy(), x.bias.detach().double().numpy())
        for x in _layers(model)
    ]
    weights, biases = ([a.copy() for a in layers] for layers in zip(*parts, strict=True))
    weights[-1], biases[-1] = weights[-1] * env.half[:, None], biases[-1] * env.half + env.middle
    std = np.exp(model.policy.log_std.detach().double().numpy()) * env.half
    return NeuralPolicy(
        weights, biases, policy.centre, policy.scale, np.diag(std**2), policy.low, policy.high
    )


def _layers(model: Any) -> list[Any]:
    return [*model.policy.mlp_extractor.policy_net[::2], model.policy.action_net]


def tree(model: Any) -> State:
    """Returns the parameters of the library's learner, and its optimiser's memory, as a tree of
    arrays.
    """
    memory = model.policy.optimizer.state_dict()["state"]
    return {
        "parameters": {
            f"{i:03d}": p.detach().double().numpy() for i, p in enumerate(model.policy.parameters())
        },
        "optimiser": {
            f"{i:03d}": {name: value.double().numpy().copy() for name, value in part.items()}
            for i, part in memory.items()
        },
    }


def load(model: Any, state: State) -> None:
    """Takes over what `tree` returned."""
    import torch

    with torch.no_grad():
        for p, value in zip(model.policy.parameters(), state["parameters"].values(), strict=True):
            p.copy_(torch.as_tensor(value))
    memory = {
        int(i): {name: torch.as_tensor(value, dtype=torch.float32) for name, value in part.items()}
        for i, part in state["optimiser"].items()
    }
    settings = model.policy.optimizer.state_dict()
    model.policy.optimizer.load_state_dict(settings | {"state": memory})


@contextmanager
def own_numbers(rng: np.random.Generator) -> Iterator[int]:
    """Seeds the global generators, which the libraries draw from, leaves them as they were found;
    yields the seed.
    """
    import torch

    kept = random.getstate(), np.random.get_state()  # noqa: NPY002
    seed = int(rng.integers(2**31))
    with torch.random.fork_rng(devices=[]):
        import_module("stable_baselines3.common.utils").set_random_seed(seed)
        try:
            yield seed
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])  # noqa: NPY002
