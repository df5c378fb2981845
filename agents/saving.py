"""Saved policies: one folder each, and a fixed table of what can be built from one."""

from pathlib import Path
from typing import Any

from dynamics.storage.files import folders_by_number, within
from dynamics.storage.tree import load_tree, save_tree
from lqr import CheckpointError, InputError

from .interfaces import Policy, State
from .policies import POLICIES, policy_class, word_of_policy
from .tasks.action_form import ActionForm, HandsOut


def save_policy(folder: str | Path, policy: Policy, **about: Any) -> None:
    """Writes a policy as a verified folder; `about` is kept beside it (JSON-able: task, seed, ...).

    Raises InputError where the policy is of no known kind, and StorageError where the disk refuses.
    """
    save_tree(folder, whole_state_of(policy), {"what": "policy", **about})


def state_of(policy: Any) -> State:
    """Returns what a policy is built of again: its word as `kind`, and its `state()`, or the fields
    of a NamedTuple.

    Raises InputError where its class stands in no table, or tells no state.
    """
    own = type(policy).__name__
    word = word_of_policy(policy)
    if word is None:
        raise InputError(
            f"got a policy of the class {own}; expected one of {', '.join(POLICIES)}: enter your own, "
            f"agents.POLICIES['a name'] = {own}, or its place, 'module:{own}'"
        )
    if hasattr(policy, "state"):
        return {**policy.state(), "kind": word}
    if hasattr(policy, "_asdict"):
        return {**policy._asdict(), "kind": word}
    raise InputError(
        f"got the policy {word!r}, which tells no state; expected a NamedTuple, or a class {own} with state() "
        "and from_state(state)"
    )


def whole_state_of(policy: Any) -> State:
    """Returns the same, with the form in which its environment takes actions, as `form`."""
    form = policy.form if isinstance(policy, HandsOut) else None
    return {**state_of(policy), **({"form": form.state()} if form else {})}


def load_policy(folder: str | Path, task: Any = None) -> Any:
    """Builds the policy out of a run's folder or of a policy's own.

    A run that was stopped before its end has no policy folder yet: its newest valid checkpoint is
    taken. A neural policy has act(observation) and predict(observation, state=None,
    episode_start=None, deterministic=True); the local controllers of a run without a network have
    act(x, t, condition). Of a run in an environment of Gymnasium they return what its `step` takes,
    in shape, type and limits. A planner is built in a task of the name that it was made in, or in the
    one that is given. Raises CheckpointError where there is none, or where a file is not as it was
    written.
    """
    folder = Path(folder)
    if (folder / "MANIFEST.json").exists():
        return build_policy(load_tree(folder)[0], folder, task)
    if (folder / "policy").is_dir():
        own = within(folder, "policy")
        return build_policy(load_tree(own)[0], own, task)
    if (folder / "checkpoints").is_dir():
        damaged = None
        for _, step in folders_by_number(within(folder, "checkpoints"), "step_"):
            try:
                saved = load_tree(within(step.parent, step.name))[0]
                return build_policy(saved.get("policy"), step, task)
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
    if not isinstance(kind, str) or kind not in POLICIES:
        raise CheckpointError(
            f"{folder}: got a policy of kind {kind!r}; expected one of {', '.join(POLICIES)}: enter your own in "
            "agents.POLICIES"
        )
    try:
        made = policy_class(kind)
        own = (
            {"kind", "form"} if isinstance(made, type) and issubclass(made, HandsOut) else {"kind"}
        )
        parts = {name: value for name, value in state.items() if name not in own}
        if not hasattr(made, "from_state"):
            return made(**parts)
        needs = [parts, task] if getattr(made, "needs_task", False) else [parts]
        policy = made.from_state(*needs)
        if "form" in own & state.keys():
            policy.form = ActionForm.from_state(state["form"])
        return policy
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
