"""Files of usage on their way into the ledger: opened, cut into rows, mapped to events, sent, and accounted for."""
