"""Code shared by the experiments: flags, printing and files; wrong backward passes.

A script imports it before everything else: from then on Ctrl-C ends the script at once, also while
JAX is imported or in one of its callbacks, which would lose an exception.
"""

import signal
import sys
from pathlib import Path

if Path(sys.argv[0]).resolve().is_relative_to(Path(__file__).parents[1]):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
