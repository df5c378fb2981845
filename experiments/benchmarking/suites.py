"""What `experiments/benchmark.py` compares: who, on which task, by which measure, and what was
published about it.

Published figures are those of REFERENCES, with the source beside them; whatever is not a Record is
run here.
"""

from typing import NamedTuple

from .peers import ALGORITHMS


class Entry(NamedTuple):
    """One contestant on one task."""

    task: str
    name: str
    # of experiments/run.py, or of experiments/peers.py where the first is a peer
    command: tuple[str, ...]
    measure: str = "evaluated_return"  # column of metrics.csv, of the peers' curve

    @property
    def peer(self) -> bool:
        """Whether it is not ours."""
        return self.command[0] in ALGORITHMS


class Record(NamedTuple):
    """A published result; a curve, or one number at the end."""

    task: str
    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    spread: float = 0.0  # standard deviation over seeds, where it was told
    source: str = ""


class Suite(NamedTuple):
    """A comparison."""

    text: str
    entries: tuple[Entry, ...]
    records: tuple[Record, ...] = ()
    lower: bool = False  # is less better?
    levels: tuple[
        tuple[str, float], ...
    ] = ()  # task -> the measure whose first reaching is counted, in steps
    held: int = 1  # gradings in a row that have to be as good for it to count


EVALUATED = ("--evaluation-episodes", "20")
BERKELEY = "numerics of the Berkeley code of 2017, ported and measured, 3 seeds"
WANG = "Wang et al. 2019, table 1, 200 000 steps, 4 seeds"
STEPS = tuple(1000.0 * i for i in range(1, 11))  # steps of 20, 40, ..., 200 episodes


def _curve(name: str, *values: float) -> Record:
    return Record("reacher_four", name, STEPS, values, source=BERKELEY)


def _published(task: str, name: str, value: float, spread: float) -> Record:
    return Record(task, name, (200_000.0,), (value,), spread, WANG)


def _mbbl(task: str, method: str, *words: str) -> Entry:
    return Entry(task, method, (method, "--task", task, *" ".join(words).split(), *EVALUATED))


# Words of the runs of MBBL: starts, and how much is planned and taught
SWING = "--initial-std 1 --plan-starts 16 --extra-starts 16 --replay 2 --noisy-copies 1"
SHORT, MIDDLE = "--plan-length 80 --plan-tail 20", "--plan-length 130 --plan-tail 30"
BALANCE = (
    "--dither --initial-std 0.1 --episodes 5 --iterations 4 --plan-starts 16 --noisy-copies-std 0.5"
)
BALANCE += " --plan-length 60 --plan-tail 20"
LONG = "--iterations 10 --samples 5 --initial-std 0.5 --min-std 0.1 --smoothing 5 --kl-step 200 --max-kl-step 4000"


def _learned(task: str, *rows: tuple[str, str]) -> tuple[Entry, ...]:
    """Returns contestants by their names and words, judged by the evaluations of the method."""
    return tuple(Entry(task, name, tuple(words.split()), "return") for name, words in rows)


OFFLINE = (
    "--iterations 14 --warm-up 2000 --offline 5000"  # 2000 random steps, then 4 x 5000 updates
)
CONTROLS = (  # of each row: the same learner and as many updates without a model; the true model
    ("no model", "--real-share 1"),
    ("true model", "--model simulator"),
)


def _mbpo(task: str, word: str, *more: tuple[str, str]) -> tuple[Entry, ...]:
    rows = (("mbpo", ""), *((f"mbpo, {name}", words) for name, words in (*CONTROLS, *more)))
    return _learned(task, *((name, f"{word} {words}") for name, words in rows))


IMAGINED = (
    *_mbpo(
        "pendulum_v1",
        "mbpo_pendulum",
        ("reward learned", "--reward learned"),
        ("initial starts", "--starts initial"),
        ("k 5", "--rollout-length 5"),
        ("k 15", "--rollout-length 15"),
        ("1 member", "--members 1"),
        ("3 members", "--members 3"),
        ("real 0", "--real-share 0"),
        ("5 updates", "--update-ratio 5"),
        ("5 updates without model", "--update-ratio 5 --real-share 1"),
        ("1 update", "--update-ratio 1"),
        ("1 update without model", "--update-ratio 1 --real-share 1"),
        ("trust", "--trust 2 --rollout-length 10"),
    ),
    *_learned(
        "pendulum_v1",
        ("sac", "sac_pendulum"),
        ("mve", "mve_pendulum"),
        ("mve, no model", "mve_pendulum --value-expansion 0"),
        ("mve, true model", "mve_pendulum --model simulator"),
        ("mve, H 1", "mve_pendulum --value-expansion 1"),
        ("mve, H 10", "mve_pendulum --value-expansion 10"),
        ("mve, without TD-k", "mve_pendulum --no-every-step"),
        ("mve, STEVE", "mve_pendulum --weights steve"),
        ("svg", "svg_pendulum"),
        ("svg, no model", "svg_pendulum --path-length 0"),
        ("svg, true model", "svg_pendulum --model simulator"),
        ("bptt", "bptt --task pendulum_v1 --iterations 15 --evaluation-samples 20"),
        ("dhmbpo", "dhmbpo_pendulum"),
    ),
    *_learned(
        "pendulum_v1",
        ("me_trpo", "me_trpo_pendulum"),
        ("me_trpo, no stop", "me_trpo_pendulum --validate-every 0"),
        ("me_trpo, 1 member", "me_trpo_pendulum --members 1"),
        ("me_trpo, 3 members", "me_trpo_pendulum --members 3"),
        ("me_trpo, 10 members", "me_trpo_pendulum --members 10"),
        ("me_trpo, member of an episode", "me_trpo_pendulum --member-of episode"),
        ("me_trpo, true model", "me_trpo_pendulum --model simulator"),
        ("me_ppo", "me_trpo_pendulum --optimiser ppo"),
        ("valued_mpc", "valued_mpc_pendulum"),
        ("valued_mpc, no value", "valued_mpc_pendulum --no-value"),
        ("valued_mpc, H 25, no value", "valued_mpc_pendulum --no-value --horizon 25"),
    ),
    *_learned(
        "mbbl_cartpole",
        ("mb_mpo", "mb_mpo_cartpole"),
        ("mb_mpo, no step", "mb_mpo_cartpole --inner-rate 0"),
    ),
    Entry("pendulum_v1", "SB3 SAC", ("SAC", "Pendulum-v1", "--steps", "5000", "--every", "250")),
    *_learned(
        "offline",
        ("mbpo", f"mbpo_pendulum --rollout-length 3 {OFFLINE}"),
        ("sac", f"sac_pendulum {OFFLINE}"),
    ),
    *_mbpo("inverted_pendulum", "mbpo_inverted_pendulum", ("ends learned", "--ends learned")),
    *_mbpo("reacher_v5", "mbpo_reacher"),
    *_mbpo(
        "pets_cartpole",
        "mbpo --task pets_cartpole --iterations 20 --warm-up 200 --evaluation-samples 10",
        ("k 5", "--rollout-length 5"),
        ("trust", "--trust 2 --rollout-length 10"),
    ),
    Entry("reacher_four", "mba", ("mba_reacher_four",), "cost"),
    Entry("reacher_four", "naf", ("mba_reacher_four", "--imagination-episodes", "0"), "cost"),
    Entry("pets_cartpole", "pets", ("pets_cartpole",), "return"),
    *_mbpo("half_cheetah", "mbpo_half_cheetah"),
    *_mbpo("hopper", "mbpo_half_cheetah --task hopper"),
)

FIGURE = "Chatzilygeroudis et al. 2017, medians of the best so far, read off the authors' figures"
CARTPOLE = "--task cartpole --iterations 7"  # of the searches, beside those of the pendulum's


def _few(task: str, method: str, *words: str) -> Entry:
    return Entry(task, method, words, "reward")


def _best(task: str, name: str, *points: tuple[int, float]) -> Record:
    """A published curve at so many steps of experience, 40 in an episode."""
    steps, values = zip(*points, strict=True)
    return Record(task, name, tuple(map(float, steps)), tuple(values), source=FIGURE)


SUITES = {
    "few_trials": Suite(
        "A handful of episodes of 4 s, 40 steps: reward (PILCO's, at most 40) of a noise-free episode after so "
        "many steps, as it is held and not the best so far, which is what was published.",
        (
            _few("pendulum", "black_drops", "black_drops_pendulum"),
            _few("pendulum", "gp_mi", "gp_mi_pendulum"),
            _few("pendulum", "pilco", "pilco_pendulum"),
            _few("pendulum", "mc_pilco", "mc_pilco_pendulum"),
            _few("pendulum", "ilqg_ld", "pendulum"),
            _few("cartpole", "black_drops", "black_drops", *CARTPOLE.split()),
            _few("cartpole", "gp_mi", "gp_mi", *CARTPOLE.split()),
            _few("cartpole", "pilco", "pilco", *CARTPOLE.split(), "--units", "50"),
            _few("cartpole", "mc_pilco", "mc_pilco", *CARTPOLE.split(), "--units", "50"),
            _few("cartpole", "ilqg_ld", "cartpole"),
        ),
        (
            _best("pendulum", "published: Black-DROPS", (80, 7.5), (120, 24.5)),
            _best("pendulum", "published: PILCO", (120, 20.0), (160, 21.7), (240, 22.2)),
            _best(
                "cartpole",
                "published: Black-DROPS",
                (120, 2.0),
                (160, 7.0),
                (200, 27.0),
                (240, 31.0),
            ),
            _best("cartpole", "published: PILCO", (160, 24.0), (200, 25.0), (560, 27.0)),
        ),
    ),
    "imagined": Suite(
        "Imagined data: each method, the same learner with as many updates and no model, and the true model.",
        IMAGINED,
        levels=(
            ("pendulum_v1", -200.0),
            ("offline", -200.0),
            ("inverted_pendulum", 1000.0),
            ("reacher_v5", -6.5),
            ("pets_cartpole", 165.0),
        ),
        held=3,
    ),
    "reacher_four": Suite(
        "Four fixed targets, 200 episodes; cost of an episode without noise, of the policy or of the controllers.",
        (
            Entry("reacher_four", "lqr_flm", ("reacher_four_local",), "cost"),
            Entry("reacher_four", "lqr_flm, gp", ("reacher_four_local", "--prior", "gp"), "cost"),
            Entry("reacher_four", "badmm", ("reacher_four",), "policy_cost"),
            Entry("reacher_four", "mdgps, on-policy", ("reacher_four_mdgps",), "policy_cost"),
            Entry("reacher_four", "mdgps, off-policy", ("reacher_four_mdgps_off",), "policy_cost"),
        ),
        (
            _curve(
                "reference: controllers",
                10.15,
                7.66,
                5.75,
                4.48,
                4.05,
                3.31,
                3.11,
                2.71,
                2.59,
                2.44,
            ),
            _curve(
                "reference: MDGPS on-policy", 10.0, 13.5, 28.5, 9.3, 62.0, 60.8, 6.5, 9.2, 4.2, 4.19
            ),
            _curve(
                "reference: MDGPS off-policy",
                10.0,
                47.6,
                36.1,
                37.1,
                31.3,
                5.6,
                5.2,
                4.4,
                4.0,
                3.48,
            ),
            Record(
                "reacher_four",
                "iLQR on the true simulator",
                (10_000.0,),
                (2.145,),
                0.0,
                "best of 8 starts",
            ),
        ),
        lower=True,
    ),
    "sample_efficiency": Suite(
        "Return in unmodified Gymnasium, 20 fresh episodes; ours and Stable-Baselines3's with its default settings.",
        (
            Entry("Reacher-v5", "ilqg_gps", ("reacher_fast", *EVALUATED)),
            Entry("Reacher-v5", "badmm", ("reacher", *EVALUATED)),
            Entry("Reacher-v5", "SAC", ("SAC", "Reacher-v5", "--steps", "25000", "--every", "500")),
            Entry("Reacher-v5", "PPO", ("PPO", "Reacher-v5", "--steps", "100000")),
            Entry("Pusher-v5", "ilqg_mf", ("pusher", *EVALUATED)),
            Entry("Pusher-v5", "badmm", ("badmm", "--task", "pusher", *EVALUATED)),
            Entry(
                "Pusher-v5", "SAC", ("SAC", "Pusher-v5", "--steps", "100000", "--every", "10000")
            ),
            Entry("Pusher-v5", "PPO", ("PPO", "Pusher-v5", "--steps", "100000")),
        ),
        levels=(("Reacher-v5", -6.0),),
    ),
    "mbbl": Suite(
        "Benchmarking Model-Based Reinforcement Learning: mean return of 20 fresh episodes, at most 200 000 steps.",
        (
            _mbbl(
                "mbbl_acrobot",
                "ilqg_gps",
                f"{SWING} --dither --episodes 4 --iterations 12 --smoothing 3",
                SHORT,
            ),
            _mbbl(
                "mbbl_mountain_car", "ilqg_gps", f"{SWING} --iterations 10 --smoothing 10", MIDDLE
            ),
            _mbbl(
                "mbbl_mountain_car",
                "ilqg_ld",
                "--iterations 3 --samples 2 --initial-std 1 --guesses 4",
            ),
            _mbbl("mbbl_cartpole", "ilqg_gps", BALANCE),
            _mbbl(
                "mbbl_cartpole", "badmm", "--iterations 20 --samples 10 --initial-std 1 --min-std 1"
            ),
            _mbbl("mbbl_swimmer", "lqr_flm", LONG),
            _mbbl("mbbl_fixed_swimmer", "lqr_flm", LONG),
        ),
        (
            _published("mbbl_acrobot", "GPS", -193.3, 11.7),
            _published("mbbl_acrobot", "iLQG", -195.5, 28.7),
            _published("mbbl_acrobot", "best: PETS-CEM", 12.5, 29.0),
            _published("mbbl_mountain_car", "GPS", -10.6, 32.1),
            _published("mbbl_mountain_car", "iLQG", -55.9, 8.3),
            _published("mbbl_mountain_car", "best: SAC", 52.6, 0.6),
            _published("mbbl_cartpole", "GPS", 14.4, 18.6),
            _published("mbbl_cartpole", "iLQG", 199.3, 0.6),
            _published("mbbl_cartpole", "best: RS", 200.0, 0.0),
            _published("mbbl_swimmer", "GPS", 14.5, 5.6),
            _published("mbbl_swimmer", "iLQG", 47.8, 2.4),
            _published("mbbl_swimmer", "best: MB-MPO", 85.0, 98.9),
            _published("mbbl_fixed_swimmer", "GPS", -35.3, 8.4),
            _published("mbbl_fixed_swimmer", "iLQG", 306.7, 0.8),
            _published("mbbl_fixed_swimmer", "best: ME-TRPO", 336.3, 15.8),
        ),
    ),
}
