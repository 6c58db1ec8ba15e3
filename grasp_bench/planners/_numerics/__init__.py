"""Holds numerical parts of planners: Adam, coloured noise, block Cholesky, least squares."""
