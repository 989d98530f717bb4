"""Tallybook, the book of record for usage: exact totals, limits and costs from one event per thing used."""

__version__ = "0.1.0"
