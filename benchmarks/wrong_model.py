"""Episodes until the arm reaches its four targets to 1 cm, with a wrong simulator as the prior.

    python -m benchmarks.wrong_model [--seeds 5] [--without-pretraining]

The simulator believes in half the links' masses, or in half of every parameter: masses, rotor
inertia and damping. The masses alone hardly matter to this arm, whose rotors' inertia (1 kg m^2) is
thousands of times that of its links. Each cell is the number of episodes after which the noise-free
distance at the end, mean of the four targets, is first at most 1 cm ("-": not within the episodes
made), then that distance and the cost after the last episode.
"""

import argparse
from dataclasses import replace

import numpy as np

from agents.tasks.mujoco.reacher import ReacherFour
from dynamics import SimulatorPrior
from experiments.configs.reacher_wrong_masses import config
from gps import lqr_flm

MASSES = {"mass of link 0": 0.5, "mass of link 1": 0.5}
WRONG = {
    "half the masses": MASSES,
    "half of everything": MASSES | {"rotor inertia": 0.5, "damping": 0.5},
}


def main() -> None:
    """Prints a row per seed, and a column per error of the simulator, with identification and
    without.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--without-pretraining", action="store_true", help="episodes alone, 25 rounds of them"
    )
    options = parser.parse_args()
    settings = (
        replace(config, pretraining=0, iterations=25) if options.without_pretraining else config
    )
    cases = [(name, identify) for name in WRONG for identify in (True, False)]
    print(
        "seed  "
        + "".join(f"{name + (', identified' if on else ', kept'):31}" for name, on in cases)
    )
    for seed in range(options.seeds):
        row = []
        for name, identify in cases:
            case = replace(settings, prior=SimulatorPrior(identify=identify))  # type: ignore[arg-type]
            rounds = list(
                lqr_flm.train(ReacherFour(WRONG[name]), case, np.random.default_rng(seed))
            )
            close = [it.scalars["episodes"] for it in rounds if it.scalars["distance"] <= 0.01]
            end = rounds[-1].scalars
            episodes = f"{close[0]:.0f}" if close else "-"
            row.append(f"{episodes:>3} ({end['distance']:.4f} m, cost {end['cost']:.2f})")
        print(f"{seed:4}  " + "".join(f"{cell:31}" for cell in row), flush=True)


if __name__ == "__main__":
    main()
