"""The contest of solvers that `compare_solvers` runs: its problems, rules, entrants and rivals, and what it shows."""
