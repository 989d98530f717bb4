"""Everything that calls out: webhooks, mail, and the guard that says where calls may go."""
