"""The dashboard: pages that show usage to an account's people and to the operator."""
