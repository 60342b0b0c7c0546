"""Training: the loop, its history, stopping, checkpoints, and inference."""
