"""Batches, the training loop, inference."""
