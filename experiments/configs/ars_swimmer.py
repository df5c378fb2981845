"""Swim: augmented random search finds a linear policy, without a model (Gymnasium's Swimmer-v5)."""

from agents.baselines import ars as method
from agents.tasks import Swimmer as task

config = method.Config(iterations=15)  # 240 episodes
