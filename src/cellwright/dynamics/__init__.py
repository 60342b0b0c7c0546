"""Dynamics: from neighbours in a latent space to where cells come from and where they go. Arrays in, arrays out.

neighbours -> CellGraph -> pseudotime from a root -> lineage tree (tips, forks) and transitions -> fates -> branches
"""
