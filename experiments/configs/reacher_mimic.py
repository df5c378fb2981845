"""Four reachers by actor-mimic: teachers without a model, and a student that acts from the beginning."""

from agents.tasks import ReacherTasks as task
from gps.multitask import actor_mimic as method

config = method.Config(iterations=65, teacher="trpo", teacher_samples=20, distil_steps=1000)
