"""Losses: tensors in, one number per cell out."""
