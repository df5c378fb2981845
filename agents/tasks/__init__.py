"""The tasks, by name; each is built, and its simulator loaded, when it is asked for.

Their classes can be had from here, too: `from agents.tasks import Reacher`.
"""

from importlib import import_module
from typing import Any

from lqr import InputError

TASKS = {  # the name -> the class, or other callable, that builds it; a user may add to this, a file cannot
    "reacher": "agents.tasks.mujoco.reacher:Reacher",
    "reacher_four": "agents.tasks.mujoco.reacher:ReacherFour",
    "reacher_tasks": "agents.tasks.mujoco.reacher_tasks:ReacherTasks",
    "reacher_reset_free": "agents.tasks.mujoco.reacher:ReacherResetFree",
    "reacher_four_hidden": "agents.tasks.wrappers.partial:ReacherFourHidden",
    "reacher_images": "agents.tasks.wrappers.partial:ReacherImages",
    "reacher_four_images": "agents.tasks.wrappers.partial:ReacherFourImages",
    "point_mass": "agents.tasks.classic.point_mass:PointMass",
    "point_mass_hidden": "agents.tasks.wrappers.partial:PointMassHidden",
    "disc": "agents.tasks.classic.disc:Disc",
    "wrapping_pendulum": "agents.tasks.classic.wrapping_pendulum:WrappingPendulum",
    "free_body": "agents.tasks.classic.free_body:FreeBody",
    "pendulum": "agents.tasks.classic.pendulum:Pendulum",
    "cartpole": "agents.tasks.classic.cartpole:CartPole",
    "acrobot": "agents.tasks.classic.acrobot:Acrobot",
    "mountain_car": "agents.tasks.classic.mountain_car:MountainCar",
    "mountain_car_sparse": "agents.tasks.classic.mountain_car:SparseMountainCar",
    "maze": "agents.tasks.classic.maze:Maze",
    "billiards": "agents.tasks.classic.billiards:Billiards",
    "rooms": "agents.tasks.classic.rooms:Rooms",
    "gather": "agents.tasks.classic.gather:Gather",
    "pusher": "agents.tasks.mujoco.pusher:Pusher",
    "inverted_pendulum": "agents.tasks.mujoco.inverted:InvertedPendulum",
    "inverted_double_pendulum": "agents.tasks.mujoco.inverted:InvertedDoublePendulum",
    "half_cheetah": "agents.tasks.mujoco.walkers:HalfCheetah",
    "hopper": "agents.tasks.mujoco.walkers:Hopper",
    "links": "agents.tasks.mujoco.links:Links",
    "swimmer": "agents.tasks.mujoco.walkers:Swimmer",
    "walker2d": "agents.tasks.mujoco.walkers:Walker2d",
    "ant": "agents.tasks.mujoco.walkers:Ant",
    "mbbl_pendulum": "agents.tasks.benchmarks.mbbl:MbblPendulum",
    "mbbl_cartpole": "agents.tasks.benchmarks.mbbl:MbblCartPole",
    "mbbl_mountain_car": "agents.tasks.benchmarks.mbbl:MbblMountainCar",
    "mbbl_acrobot": "agents.tasks.benchmarks.mbbl:MbblAcrobot",
    "mbbl_inverted_pendulum": "agents.tasks.benchmarks.mbbl_bodies:MbblInvertedPendulum",
    "mbbl_reacher": "agents.tasks.benchmarks.mbbl_bodies:MbblReacher",
    "mbbl_half_cheetah": "agents.tasks.benchmarks.mbbl_bodies:MbblHalfCheetah",
    "mbbl_swimmer": "agents.tasks.benchmarks.mbbl_bodies:MbblSwimmer",
    "mbbl_fixed_swimmer": "agents.tasks.benchmarks.mbbl_bodies:MbblFixedSwimmer",
    "mbbl_hopper": "agents.tasks.benchmarks.mbbl_bodies:MbblHopper",
    "mbbl_hopper_et": "agents.tasks.benchmarks.mbbl_bodies:MbblHopperEt",
    "mbbl_walker2d": "agents.tasks.benchmarks.mbbl_bodies:MbblWalker2d",
    "mbbl_walker2d_et": "agents.tasks.benchmarks.mbbl_bodies:MbblWalker2dEt",
    "mbbl_ant": "agents.tasks.benchmarks.mbbl_bodies:MbblAnt",
    "mbbl_ant_et": "agents.tasks.benchmarks.mbbl_bodies:MbblAntEt",
    "mbbl_slim_humanoid": "agents.tasks.benchmarks.mbbl_bodies:MbblSlimHumanoid",
    "mbbl_slim_humanoid_et": "agents.tasks.benchmarks.mbbl_bodies:MbblSlimHumanoidEt",
    "mbbl_pendulum_o001": "agents.tasks.benchmarks.mbbl_noisy:pendulum_o001",
    "mbbl_pendulum_o01": "agents.tasks.benchmarks.mbbl_noisy:pendulum_o01",
    "mbbl_cartpole_o001": "agents.tasks.benchmarks.mbbl_noisy:cartpole_o001",
    "mbbl_cartpole_o01": "agents.tasks.benchmarks.mbbl_noisy:cartpole_o01",
    "mbbl_half_cheetah_o001": "agents.tasks.benchmarks.mbbl_noisy:half_cheetah_o001",
    "mbbl_half_cheetah_o01": "agents.tasks.benchmarks.mbbl_noisy:half_cheetah_o01",
    "mbbl_half_cheetah_a003": "agents.tasks.benchmarks.mbbl_noisy:half_cheetah_a003",
    "mbbl_half_cheetah_a01": "agents.tasks.benchmarks.mbbl_noisy:half_cheetah_a01",
    "pets_cartpole": "agents.tasks.benchmarks.pets_cartpole:PetsCartPole",
    "pets_reacher": "agents.tasks.benchmarks.pets_arm:PetsReacher",
    "pets_pusher": "agents.tasks.benchmarks.pets_arm:PetsPusher",
    "reacher_v5": "agents.tasks.benchmarks.reacher_v5:ReacherV5",
    "pendulum_v1": "agents.tasks.classic.pendulum_v1:PendulumV1",
    "obstacle": "agents.tasks.mujoco.obstacle:Obstacle",
    "door": "agents.tasks.mujoco.door:Door",
    "gripper": "agents.tasks.mujoco.gripper:Gripper",
    "peg": "agents.tasks.mujoco.peg:Peg",
    "peg_nine": "agents.tasks.mujoco.peg:PegNine",
    "peg_blind": "agents.tasks.mujoco.peg:PegBlind",
    "dm_peg": "agents.tasks.mujoco.dm_peg:DmPeg",
}

COUNTED = {"links": "links", "billiards": "balls"}  # tasks of any number of bodies -> its setting


def __getattr__(name: str) -> Any:
    for place in TASKS.values():
        module, builder = place.split(":")
        if builder == name:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def make_task(name: str, **settings: Any) -> Any:
    """Builds a task by its name, `randomised:NAME`, `gymnasium:ENV_ID` or `mjcf:FILE`, with its
    constructor's settings; `links:5` has five links, `billiards:6` six balls.

    Raises InputError for an unknown name.
    """
    if name.startswith("gymnasium:"):
        from .adapters.gymnasium_task import GymnasiumTask

        return GymnasiumTask(name.removeprefix("gymnasium:"), **settings)
    if name.startswith("mjcf:"):
        from .adapters.mjcf_task import MjcfTask

        return MjcfTask(name.removeprefix("mjcf:"), **settings)
    if name.startswith("randomised:"):
        from .wrappers.randomised import Randomised

        return Randomised(make_task(name.removeprefix("randomised:"), **settings))
    kind, counted, count = name.partition(":")
    if counted and kind in COUNTED and count.isdecimal():
        return make_task(kind, **{COUNTED[kind]: int(count)}, **settings)
    if name not in TASKS:
        raise InputError(
            f"unknown task {name!r}; expected gymnasium:ENV_ID, mjcf:FILE, randomised:NAME or one of {', '.join(TASKS)}"
        )
    module, builder = TASKS[name].split(":")
    return getattr(import_module(module), builder)(**settings)


__all__ = ["TASKS", "make_task"]
