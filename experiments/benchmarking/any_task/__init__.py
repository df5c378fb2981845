"""The suite `any_task`: tasks that a user may bring, and no setting that differs from one to another."""
