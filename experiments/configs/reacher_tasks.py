"""Four reachers, a teacher each by guided policy search, teach one network of an eighth of the size."""

from agents.tasks import ReacherTasks as task
from gps.multitask import policy_distillation as method

config = method.Config()
