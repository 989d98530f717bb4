"""The native API, version 1: one file for each thing that it speaks of."""
