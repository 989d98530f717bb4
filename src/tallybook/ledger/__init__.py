"""The transactional store, the truth: one SQLAlchemy Core implementation for SQLite and PostgreSQL."""
