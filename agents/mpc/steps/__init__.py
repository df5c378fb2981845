"""What the methods that plan share: the MPC policy, its episodes, its model as it learns, and what it saves."""
