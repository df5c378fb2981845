"""The tasks, by name; each is built, and its simulator loaded, when it is asked for."""

from importlib import import_module
from typing import Any

from lqr import InputError

TASKS = {  # the name -> the class, or other callable, that builds it; a user may add to this, a file cannot
    "reacher": "agents.tasks.reacher:Reacher",
    "reacher_four": "agents.tasks.reacher:ReacherFour",
    "reacher_reset_free": "agents.tasks.reacher:ReacherResetFree",
    "reacher_four_hidden": "agents.tasks.partial:ReacherFourHidden",
    "reacher_images": "agents.tasks.partial:ReacherImages",
    "point_mass": "agents.tasks.point_mass:PointMass",
    "point_mass_hidden": "agents.tasks.partial:PointMassHidden",
    "disc": "agents.tasks.disc:Disc",
    "wrapping_pendulum": "agents.tasks.wrapping:WrappingPendulum",
    "free_body": "agents.tasks.free_body:FreeBody",
    "pendulum": "agents.tasks.pendulum:Pendulum",
    "cartpole": "agents.tasks.cartpole:CartPole",
    "acrobot": "agents.tasks.acrobot:Acrobot",
    "mountain_car": "agents.tasks.mountain_car:MountainCar",
    "pusher": "agents.tasks.pusher:Pusher",
    "inverted_pendulum": "agents.tasks.inverted:InvertedPendulum",
    "inverted_double_pendulum": "agents.tasks.inverted:InvertedDoublePendulum",
    "half_cheetah": "agents.tasks.walkers:HalfCheetah",
    "hopper": "agents.tasks.walkers:Hopper",
    "swimmer": "agents.tasks.walkers:Swimmer",
    "walker2d": "agents.tasks.walkers:Walker2d",
    "ant": "agents.tasks.walkers:Ant",
    "mbbl_pendulum": "agents.tasks.mbbl:MbblPendulum",
    "mbbl_cartpole": "agents.tasks.mbbl:MbblCartPole",
    "mbbl_mountain_car": "agents.tasks.mbbl:MbblMountainCar",
    "mbbl_acrobot": "agents.tasks.mbbl:MbblAcrobot",
    "mbbl_inverted_pendulum": "agents.tasks.mbbl_bodies:MbblInvertedPendulum",
    "mbbl_reacher": "agents.tasks.mbbl_bodies:MbblReacher",
    "mbbl_half_cheetah": "agents.tasks.mbbl_bodies:MbblHalfCheetah",
    "mbbl_swimmer": "agents.tasks.mbbl_bodies:MbblSwimmer",
    "mbbl_fixed_swimmer": "agents.tasks.mbbl_bodies:MbblFixedSwimmer",
    "mbbl_hopper": "agents.tasks.mbbl_bodies:MbblHopper",
    "mbbl_hopper_et": "agents.tasks.mbbl_bodies:MbblHopperEt",
    "mbbl_walker2d": "agents.tasks.mbbl_bodies:MbblWalker2d",
    "mbbl_walker2d_et": "agents.tasks.mbbl_bodies:MbblWalker2dEt",
    "mbbl_ant": "agents.tasks.mbbl_bodies:MbblAnt",
    "mbbl_ant_et": "agents.tasks.mbbl_bodies:MbblAntEt",
    "mbbl_slim_humanoid": "agents.tasks.mbbl_bodies:MbblSlimHumanoid",
    "mbbl_slim_humanoid_et": "agents.tasks.mbbl_bodies:MbblSlimHumanoidEt",
    "mbbl_pendulum_o001": "agents.tasks.mbbl_noisy:pendulum_o001",
    "mbbl_pendulum_o01": "agents.tasks.mbbl_noisy:pendulum_o01",
    "mbbl_cartpole_o001": "agents.tasks.mbbl_noisy:cartpole_o001",
    "mbbl_cartpole_o01": "agents.tasks.mbbl_noisy:cartpole_o01",
    "mbbl_half_cheetah_o001": "agents.tasks.mbbl_noisy:half_cheetah_o001",
    "mbbl_half_cheetah_o01": "agents.tasks.mbbl_noisy:half_cheetah_o01",
    "mbbl_half_cheetah_a003": "agents.tasks.mbbl_noisy:half_cheetah_a003",
    "mbbl_half_cheetah_a01": "agents.tasks.mbbl_noisy:half_cheetah_a01",
    "pets_cartpole": "agents.tasks.pets_cartpole:PetsCartPole",
    "pets_reacher": "agents.tasks.pets_arm:PetsReacher",
    "pets_pusher": "agents.tasks.pets_arm:PetsPusher",
    "reacher_v5": "agents.tasks.reacher_v5:ReacherV5",
    "pendulum_v1": "agents.tasks.pendulum_v1:PendulumV1",
    "obstacle": "agents.tasks.obstacle:Obstacle",
    "door": "agents.tasks.door:Door",
    "gripper": "agents.tasks.gripper:Gripper",
    "peg": "agents.tasks.peg:Peg",
    "peg_nine": "agents.tasks.peg:PegNine",
    "peg_blind": "agents.tasks.peg:PegBlind",
    "dm_peg": "agents.tasks.dm_peg:DmPeg",
}


def make_task(name: str, **settings: Any) -> Any:
    """Builds a task by its name, `randomised:NAME`, or `gymnasium:ENV_ID`, with its constructor's settings.

    Raises InputError for an unknown name.
    """
    if name.startswith("gymnasium:"):
        from .gymnasium_task import GymnasiumTask

        return GymnasiumTask(name.removeprefix("gymnasium:"), **settings)
    if name.startswith("randomised:"):
        from .randomised import Randomised

        return Randomised(make_task(name.removeprefix("randomised:"), **settings))
    if name not in TASKS:
        raise InputError(
            f"unknown task {name!r}; expected gymnasium:ENV_ID, randomised:NAME or one of {', '.join(TASKS)}"
        )
    module, builder = TASKS[name].split(":")
    return getattr(import_module(module), builder)(**settings)


__all__ = ["TASKS", "make_task"]
