"""The house: from settings to open rooms; the only part that knows every room."""

from tallybook.house.house import House

__all__ = ["House"]
