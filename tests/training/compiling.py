"""Programs that are compiled within a block."""

from contextlib import contextmanager

import jax


@contextmanager
def compilations():
    """Collect the names of the programs that are compiled within the block."""
    names, inside = [], [True]

    def listen(event, duration, **details):
        if inside and event == "/jax/core/compile/backend_compile_duration":
            names.append(details.get("fun_name", event))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        inside.clear()  # listeners cannot be removed without touching those of others
