"""How fast planners are on this machine, against what its matrix products alone would take."""
