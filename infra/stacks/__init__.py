"""The stacks. They compose constructs and name outputs, and do nothing else."""
