"""Blocks without biology, which architectures are made of."""
