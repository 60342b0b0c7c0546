"""Kernels: the loops that decide the speed on a CPU, compiled by Numba. Arrays in, arrays out; no torch."""
