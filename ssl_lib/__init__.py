"""Semi-supervised medical image segmentation: what two notebooks share, and nothing else."""
