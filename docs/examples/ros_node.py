"""A ROS 2 node that plays a policy: joint states in, commands out, at a fixed rate.

    python docs/examples/ros_node.py runs/my_arm/...

A policy sees what its task showed: here positions, then velocities. Without a joint state of the
last tenth of a second it commands nothing and says so.
"""

import sys

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from agents import load_policy

RATE, STALE = 50.0, 0.1  # commands per second; seconds after which a joint state is too old


class PolicyNode(Node):
    """Publishes the policy's action on what was heard last."""

    def __init__(self, policy):
        super().__init__("policy")
        self.policy, self.seen, self.heard = policy, None, None
        policy.reset()
        self.create_subscription(JointState, "joint_states", self.hear, 1)
        self.commands = self.create_publisher(Float64MultiArray, "commands", 1)
        self.create_timer(1 / RATE, self.act)

    def hear(self, message):
        """Keeps a joint state."""
        self.seen = np.concatenate([message.position, message.velocity])
        self.heard = self.get_clock().now()

    def act(self):
        """Commands the policy's action, if what it sees is fresh."""
        if self.seen is None or (self.get_clock().now() - self.heard).nanoseconds > 1e9 * STALE:
            self.get_logger().warning("no fresh joint state: no command")
            return
        self.commands.publish(Float64MultiArray(data=self.policy.act(self.seen).tolist()))


def main():
    """Spins until ROS is shut down."""
    rclpy.init()
    node = PolicyNode(load_policy(sys.argv[1]))
    try:
        rclpy.spin(node)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
