"""Peg insertion: nine holes on a grid, 540 episodes; one neural policy, evaluated on 16 holes between
them, too.
"""

from dataclasses import replace

from agents.tasks import PegNine as task
from gps import badmm as method

from . import peg

config = replace(peg.config, penalty=3.7e-8)
