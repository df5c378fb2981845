"""The reaching arm, seen in pictures of 64 x 64 pixels: a convolutional policy learns to find its
target there.
"""

from agents.tasks import ReacherImages as task
from gps import badmm as method

config = method.Config(
    policy="convolutional",
    hidden=(64,),
    policy_steps=300,
    iterations=10,
    samples=2,
    inner=1,
    replay=3,
    probe=False,
    std_share=0.0,
    initial="zero",
)  # 10 iterations of 8 x 2 episodes
