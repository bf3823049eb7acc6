"""Ledgers: every number of both passes with its formula and autodiff's value."""

from jaxbp.ledger.book import make_ledger
from jaxbp.ledger.entries import Entry, Ledger
from jaxbp.ledger.summary import trace_html

__all__ = ["Entry", "Ledger", "make_ledger", "trace_html"]
