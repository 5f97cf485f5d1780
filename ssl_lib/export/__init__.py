"""Trained networks that stay: safetensors, metadata, card, and predictions as label maps."""
