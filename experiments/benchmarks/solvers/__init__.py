"""The solvers of `compare_solvers`, the problems that they get, and how settings are chosen."""
