"""Invoices on paper: the same document as CSV, HTML and PDF."""
