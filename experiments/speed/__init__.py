"""The benchmark: what is timed, and beside what."""
