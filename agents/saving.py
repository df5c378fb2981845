"""Saved policies: one folder each, and a fixed table of what can be built from one."""

from importlib import import_module
from pathlib import Path
from typing import Any

from dynamics.storage.files import folders_by_number
from dynamics.storage.tree import load_tree, save_tree
from lqr import CheckpointError, InputError

from .interfaces import Policy, State

# The "kind" in a policy's state -> its class, or where that is: `from_state(state)` builds the
# policy, or, for a NamedTuple, its fields do. A user may add to this, a file cannot.
KINDS: dict[str, str | type] = {
    "neural": "agents.policies.mlp:NeuralPolicy",
    "std": "agents.policies.mlp_std:StdPolicy",
    "recurrent": "agents.policies.recurrent:RecurrentPolicy",
    "convolutional": "agents.policies.convolutional:ConvolutionalPolicy",
    "controllers": "agents.policies.linear_gaussian:ControllerPolicy",
    "mpc": "agents.mpc.policy:MPC",
}


def save_policy(folder: str | Path, policy: Policy, **about: Any) -> None:
    """Writes a policy as a verified folder; `about` is kept beside it (JSON-able: task, seed, ...).

    Raises InputError where the policy is of no known kind, and StorageError where the disk refuses.
    """
    save_tree(folder, state_of(policy), {"what": "policy", **about})


def state_of(policy: Any) -> State:
    """Returns what a policy is built of again: its `state()`, or the fields of a NamedTuple whose
    class is in KINDS.
    """
    own = type(policy)
    if hasattr(policy, "state"):
        state = policy.state()
    else:
        kind = next((kind for kind, made in KINDS.items() if made is own), own.__name__)
        state = {"kind": kind, **policy._asdict()} if hasattr(policy, "_asdict") else {"kind": kind}
    if state.get("kind") not in KINDS:
        raise InputError(
            f"got a policy of kind {state.get('kind')!r}; expected one of {', '.join(sorted(KINDS))}: "
            f"enter your own, KINDS['a name'] = {own.__name__}"
        )
    return state


def load_policy(folder: str | Path, task: Any = None) -> Any:
    """Builds the policy out of a run's folder or of a policy's own.

    A run that was stopped before its end has no policy folder yet: its newest valid checkpoint is
    taken. A neural policy has act(observation) and predict(observation, state=None,
    episode_start=None, deterministic=True); the local controllers of a run without a network have
    act(x, t, condition). A planner is built in a task of the name that it was made in, or in the
    one that is given. Raises CheckpointError where there is none, or where a file is not as it was
    written.
    """
    folder = Path(folder)
    if (folder / "MANIFEST.json").exists():
        return build_policy(load_tree(folder)[0], folder, task)
    if (folder / "policy").is_dir():
        return build_policy(load_tree(folder / "policy")[0], folder / "policy", task)
    if (folder / "checkpoints").is_dir():
        damaged = None
        for _, step in folders_by_number(folder / "checkpoints", "step_"):
            try:
                return build_policy(load_tree(step)[0].get("policy"), step, task)
            except CheckpointError as error:
                damaged = damaged or error
        if damaged:
            raise damaged
    raise CheckpointError(
        f"{folder}: got no policy there; expected the folder of a run, or its policy folder"
    )


def build_policy(state: Any, folder: str | Path, task: Any = None) -> Any:
    """Builds a policy from its state; `folder` is what an error names, `task` what a planner plans
    in.
    """
    kind = state.get("kind") if isinstance(state, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise CheckpointError(
            f"{folder}: got a policy of kind {kind!r}; expected one of {', '.join(sorted(KINDS))}"
        )
    made = KINDS[kind]
    try:
        if isinstance(made, str):
            module, name = made.split(":")
            made = getattr(import_module(module), name)
        if hasattr(made, "from_state"):
            return (
                made.from_state(state, task)
                if getattr(made, "in_task", False)
                else made.from_state(state)
            )
        return made(**{name: value for name, value in state.items() if name != "kind"})
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RuntimeError,
        ArithmeticError,
        MemoryError,
    ) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{folder}: its policy does not fit its kind {kind!r} ({reason}); was it made by another version?"
        ) from None
