"""Loops for NumPy arrays compiled by Numba, with the extra ``xpnn[cpu]``; cpu/ serves where it is not installed."""
