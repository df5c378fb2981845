"""Tasks in MuJoCo."""
