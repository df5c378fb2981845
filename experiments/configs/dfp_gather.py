"""Food and poison on a torus: what each move changes is predicted, for any goal."""

from agents.imagination import dfp as method
from agents.tasks import Gather as task

config = method.Config()
