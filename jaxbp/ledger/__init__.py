"""Ledgers: every number of both passes with its formula, and what autodiff has for it."""

from jaxbp.backprop import Trace
from jaxbp.ledger.book import make_ledger
from jaxbp.ledger.entries import Entry, Ledger
from jaxbp.ledger.summary import trace_html

__all__ = ["Entry", "Ledger", "make_ledger"]

# `trace.ledger()` reads best, but the trace stands below the ledger and cannot import it; so for
# notebooks.
Trace.ledger = make_ledger  # type: ignore[attr-defined]
Trace._repr_html_ = trace_html  # type: ignore[attr-defined]
