"""What Alembic runs around the migrations: it uses the transaction that `migrate` opened, and opens none of its own."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
