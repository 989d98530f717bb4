"""HTTP only: no SQL, no arithmetic; each API surface is a table of endpoints over the same flows."""
