"""Augmentation, losses, batches, the training loop, checkpoints and studies."""
