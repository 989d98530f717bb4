"""Sessions and portal links in the ledger, found by the hashes of their secrets, so that any process knows them.

Not for how long they live (see `core.session`).
"""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from tallybook.core.changes import NOTHING
from tallybook.core.errors import NotFound
from tallybook.core.ids import AccountId
from tallybook.core.session import IDLE_US, PortalLink, Session, scopes_text
from tallybook.ledger.open import Ledger
from tallybook.ledger.session_tables import portal_links, sessions
from tallybook.ledger.tables import accounts, api_keys

ROWS_MAX = 500
"""Most rows of one table that one step of housekeeping deletes."""

_SESSIONS = (
    select(sessions, accounts.c.account_id)
    .join(api_keys, (api_keys.c.key_id == sessions.c.key_id) & api_keys.c.revoked_us.is_(None))
    .outerjoin(accounts, accounts.c.account_no == sessions.c.account_no)
)
"""A session whose key was revoked is not found."""

_LINKS = (
    select(portal_links, accounts.c.account_id)
    .join(api_keys, (api_keys.c.key_id == portal_links.c.key_id) & api_keys.c.revoked_us.is_(None))
    .join(accounts, accounts.c.account_no == portal_links.c.account_no)
)


class LedgerSessions:
    """Keeps who is logged in."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def find(self, session_hash: str) -> Session | None:
        """Return the session, over or not; None where there is none, or its key was revoked."""
        with self._ledger.reading() as connection:
            row = connection.execute(_SESSIONS.where(sessions.c.session_hash == session_hash)).first()
        return None if row is None else from_row(row)

    def put(self, session: Session, session_hash: str) -> None:
        """Keep a new session."""
        with self._ledger.writing(NOTHING) as connection:
            _insert(connection, session, session_hash)

    def touch(self, session_hash: str, now_us: int) -> None:
        """Note that the session was used."""
        mine = sessions.c.session_hash == session_hash
        with self._ledger.writing(NOTHING) as connection:
            connection.execute(update(sessions).where(mine, sessions.c.seen_us < now_us).values(seen_us=now_us))

    def drop(self, session_hash: str) -> None:
        """Forget the session; doing so twice is harmless."""
        with self._ledger.writing(NOTHING) as connection:
            connection.execute(delete(sessions).where(sessions.c.session_hash == session_hash))

    def put_link(self, link: PortalLink, secret_hash: str) -> None:
        """Keep a new link.

        Raises:
            NotFound: If its account is not known.
        """
        with self._ledger.writing(NOTHING) as connection:
            number = connection.scalar(select(accounts.c.account_no).where(accounts.c.account_id == link.account_id))
            if number is None:
                raise NotFound("there is no such account")
            row = {
                "link_id": link.link_id,
                "secret_hash": secret_hash,
                "key_id": link.key_id,
                "account_no": number,
                "scopes": scopes_text(link.scopes),
                "ancestors": " ".join(link.ancestors),
                "created_us": link.created_us,
                "expires_us": link.expires_us,
                "used_us": None,
            }
            connection.execute(insert(portal_links), row)

    def link(self, link_id: str) -> PortalLink | None:
        """Return the link, used and expired ones too; None where there is none, or its key was revoked."""
        with self._ledger.reading() as connection:
            row = connection.execute(_LINKS.where(portal_links.c.link_id == link_id)).first()
        return None if row is None else _link_from_row(row)

    def take_link(self, link_id: str, secret_hash: str, now_us: int) -> PortalLink | None:
        """Use the link up and return it as it was; None where it does not lead in any more."""
        mine = (portal_links.c.link_id == link_id) & (portal_links.c.secret_hash == secret_hash)
        still = portal_links.c.used_us.is_(None) & (portal_links.c.expires_us > now_us)
        with self._ledger.writing(NOTHING) as connection:
            row = connection.execute(_LINKS.where(mine, still)).first()
            if row is None:
                return None
            taken = connection.execute(update(portal_links).where(mine, still).values(used_us=now_us)).rowcount
        return _link_from_row(row) if taken else None

    def drop_ended(self, now_us: int) -> int:
        """Forget some of the sessions and links that ended; return how many."""
        over = or_(sessions.c.ends_us <= now_us, sessions.c.seen_us <= now_us - IDLE_US)
        ended = select(sessions.c.session_hash).where(over).limit(ROWS_MAX)
        expired = select(portal_links.c.link_id).where(portal_links.c.expires_us <= now_us).limit(ROWS_MAX)
        with self._ledger.writing(NOTHING) as connection:
            done = connection.execute(delete(sessions).where(sessions.c.session_hash.in_(ended))).rowcount
            return done + connection.execute(delete(portal_links).where(portal_links.c.link_id.in_(expired))).rowcount


def _insert(connection: Connection, session: Session, session_hash: str) -> None:
    number = None
    if session.account_id is not None:
        number = connection.scalar(select(accounts.c.account_no).where(accounts.c.account_id == session.account_id))
    row = {
        "session_hash": session_hash,
        "key_id": session.key_id,
        "account_no": number,
        "scopes": scopes_text(session.scopes),
        "started_us": session.started_us,
        "seen_us": session.seen_us,
        "ends_us": session.ends_us,
        "ancestors": " ".join(session.ancestors),
        "is_portal": int(session.is_portal),
    }
    connection.execute(insert(sessions), row)


def from_row(row: Row[Any]) -> Session:
    """Return the session that a row of `sessions`, joined with its account, holds."""
    return Session(
        key_id=row.key_id,
        account_id=None if row.account_id is None else AccountId(row.account_id),
        scopes=frozenset(row.scopes.split()),
        started_us=row.started_us,
        seen_us=row.seen_us,
        ends_us=row.ends_us,
        ancestors=tuple(row.ancestors.split()),
        is_portal=bool(row.is_portal),
    )


def _link_from_row(row: Row[Any]) -> PortalLink:
    return PortalLink(
        link_id=row.link_id,
        key_id=row.key_id,
        account_id=AccountId(row.account_id),
        scopes=frozenset(row.scopes.split()),
        ancestors=tuple(row.ancestors.split()),
        created_us=row.created_us,
        expires_us=row.expires_us,
        used_us=row.used_us,
    )
