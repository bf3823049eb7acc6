"""Ledgers: every number of both passes with its formula, and what autodiff has for it."""

from jaxbp.ledger.book import make_ledger
from jaxbp.ledger.entries import Entry, Ledger

__all__ = ["Entry", "Ledger", "make_ledger"]
