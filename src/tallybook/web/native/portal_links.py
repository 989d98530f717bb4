"""Portal links over the native API: short-lived ways into one account's pages, to be handed out or framed.

The link itself is for people; what it opens is the dashboard's business.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from tallybook.core.errors import FieldInvalid, Forbidden
from tallybook.core.instant import instant_text
from tallybook.core.key import ADMIN, SCOPES, USAGE_READ
from tallybook.core.session import ANCESTORS_MAX, LINK_TTL_S_DEFAULT, LINK_TTL_S_MAX
from tallybook.flows.session import NewLink
from tallybook.web.endpoint import AccountOf, Ask, Endpoint

PORTAL_PATH = "/dashboard/portal/"
THEMES = ("light", "dark")


class PortalLinkBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a link opens, for how long, and who may frame it."""

    scopes: Annotated[
        list[str],
        Meta(min_length=1, max_length=len(SCOPES), description=f"Of: {', '.join(SCOPES)}; those of the key at most."),
    ] = msgspec.field(default_factory=lambda: [USAGE_READ])
    ttl_s: Annotated[int, Meta(ge=1, le=LINK_TTL_S_MAX, description="Seconds in which it must be used.")] = (
        LINK_TTL_S_DEFAULT
    )
    frame_ancestors: Annotated[
        list[str], Meta(max_length=ANCESTORS_MAX, description="Origins whose pages may frame what it opens.")
    ] = []
    theme: Annotated[str, Meta(pattern="^(light|dark)?$", description="light or dark; default: the reader's.")] = ""


class PortalLinkAnswer(msgspec.Struct, frozen=True):
    """A link that was just made; `url` is shown this once, and leads in once."""

    id: str
    url: str
    scopes: list[str]
    frame_ancestors: list[str]
    expires_at: str


def post_portal_link(ask: Ask[None, PortalLinkBody]) -> PortalLinkAnswer:
    """Make a link."""
    body, sessions = ask.body, ask.rooms.sessions
    made = sessions.make_link(
        ask.caller, ask.account.id, scopes=body.scopes, ttl_s=body.ttl_s, ancestors=body.frame_ancestors
    )
    return PortalLinkAnswer(
        id=made.link.link_id,
        url=_url(sessions.public_url, made, body.theme),
        scopes=[scope for scope in SCOPES if scope in made.link.scopes],
        frame_ancestors=list(made.link.ancestors),
        expires_at=instant_text(made.link.expires_us),
    )


def _url(public_url: str, made: NewLink, theme: str) -> str:
    query = f"?theme={theme}" if theme in THEMES else ""
    return f"{public_url}{PORTAL_PATH}{made.link.link_id}{query}#{made.secret}"


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/accounts/{account_id}/portal-links",
        post_portal_link,
        ADMIN,
        "Make a link into an account's pages",
        answer=PortalLinkAnswer,
        body=PortalLinkBody,
        account=AccountOf.PATH,
        status=201,
        errors=(
            FieldInvalid("must be an origin in lower case such as https://app.example.com", pointer="/frame_ancestors"),
            Forbidden("a link cannot give the scope admin, which the key lacks", required_scope=ADMIN),
        ),
        description=(
            "Whoever opens the link is logged in to this account's dashboard with these scopes: once, before it "
            "expires, for half an hour without use and 12 hours at most. Revoking the key that made it ends the "
            "link and what it opened. What stands behind the `#` is secret; browsers do not send it and servers "
            "do not log it. `url` is a path unless the setting `public_url` says where this server is reached."
        ),
        body_example={"scopes": ["usage:read"], "ttl_s": 900, "frame_ancestors": ["https://app.example.com"]},
        example=PortalLinkAnswer(
            "lnk_0a1b",
            "https://usage.example.com/dashboard/portal/lnk_0a1b#secret",
            ["usage:read"],
            ["https://app.example.com"],
            "2026-03-01T08:15:00Z",
        ),
    ),
)
