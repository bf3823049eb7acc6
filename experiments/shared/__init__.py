"""Code shared by the experiments: flags, printing and files; wrong backward passes."""
