"""What to try against each trouble, in words that can be typed: they stand between backticks."""

from ..cli import PROGRAM
from .looked_at import Run


def more_noise(run: Run) -> str:
    """Returns the words for more exploration, as a share of half the action range."""
    if not run.has("initial_std"):
        return (
            f"actions that do more; a cost that sees what they do; or {_other(run, 'pets', 'mbmf')}"
        )
    now = run.setting("initial_std")
    std = 0.1 if now < 0.03 else 0.3 if now < 0.3 else 1.0
    floor = f" --min-std {std:g}" if run.has("min_std") else ""
    return f"`--initial-std {std:g}{floor} --samples {_samples(run)}`"


def slope(run: Run) -> str:
    """Returns what finds a reward that no slope leads to."""
    return (
        "a cost that falls towards the goal, `--cost MODULE:FUNCTION`; "
        f"{_other(run, 'pilqr', 'pets')}, or {_other(run, 'pets', 'mbmf')}"
    )


def better_model(run: Run) -> str:
    """Returns what makes models better."""
    if run.has("prior"):
        other = "gmm" if run.settings["prior"] != "gmm" else "gp"
        return f"`--samples {_samples(run)}`, `--prior {other}`, or more noise: {more_noise(run)}"
    return (
        "more episodes, by `--iterations` or `--samples`; angles declared as a manifold, or as "
        "sine and cosine"
    )


def smaller_steps(run: Run) -> str:
    """Returns what makes promises come true."""
    return f"{better_model(run)}; with swing-ups and contacts {_other(run, 'ilqg_gps', 'pets')}"


def larger_steps(run: Run) -> str:
    """Returns the words for larger steps."""
    return f"`--max-kl-step {10 * run.setting('max_kl_step'):g}`"


def longer_regression(run: Run) -> str:
    """Returns what makes a policy follow."""
    steps = 4 * run.setting("policy_steps")
    return (
        f"`--policy-steps {steps:g}`, `--hidden {_wider(run)}`, or `--lag-response train`; "
        "do the observations tell the conditions apart?"
    )


def restart(run: Run) -> str:
    """Returns what may free a condition."""
    hold = "`--initial hold`, " if run.has("initial") else ""
    return (
        f"{more_noise(run)}, {hold}or another `--seed`; {_other(run, 'ilqg_gps', 'pets')} shares one "
        "model between all"
    )


def priced_end(run: Run) -> str:
    """Returns what helps where episodes end early."""
    shorter = f"`--task-horizon {max(run.horizon // 4, 1)}` at first; "
    shorter = shorter if "gymnasium:" in run.task else ""
    return f"a cost that rises before the end, `--cost MODULE:FUNCTION`; {shorter}or {_other(run, 'pets', 'ilqg_ld')}"


def another_method(run: Run) -> str:
    """Returns what else to try."""
    noise = f"{more_noise(run)}; " if run.has("initial_std") else "twice the `--iterations`; "
    several = f"{_other(run, 'auto')}, which tries several, or " if run.method != "auto" else ""
    return f"{noise}{several}{_other(run, 'ilqg_gps', 'pets')}"


def _samples(run: Run) -> int:
    return max(6, int(2 * run.setting("samples"))) if run.has("samples") else 6


def _other(run: Run, *methods: str) -> str:
    """Returns the command that runs the first of these methods that is not this run's."""
    method = next(name for name in methods if name != run.method)
    return f"`{PROGRAM} {method} {run.task}`"


def _wider(run: Run) -> str:
    """Returns twice the units of the hidden layers, 64 or more each."""
    return " ".join(str(max(64, 2 * int(n))) for n in run.settings.get("hidden") or (32, 32))
