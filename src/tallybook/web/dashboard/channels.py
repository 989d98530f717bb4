"""Channels of Billing > Alerts: mailboxes and chats made, changed, tested, enabled, disabled and deleted.

Not for webhooks (see `webhooks`); the page itself is `alerts`.
"""

from collections.abc import Mapping, Sequence

from tallybook.core.channel import read_pace
from tallybook.core.delivery import Destination
from tallybook.core.errors import NotFound
from tallybook.core.key import BILLING_MANAGE
from tallybook.flows.channels import ChannelChange, NewChannel
from tallybook.web.dashboard.alert_forms import read_pace_form
from tallybook.web.dashboard.alerts import AT, address, attempt
from tallybook.web.dashboard.page import Page, Visit, first, redirect
from tallybook.web.endpoint import Reply

FORM = "channels"


def _channel(visit: Visit) -> Destination:
    """Return the channel in the path.

    Raises:
        NotFound: If there is none, or it is another account's.
    """
    found = visit.rooms.channels.find(visit.session.caller, visit.path["channel_id"])
    if found.account_id != visit.account.id:
        raise NotFound("there is no such channel")
    return found


def post_channel(visit: Visit) -> Reply:
    """Make a channel."""

    def act(fields: Mapping[str, Sequence[str]]) -> None:
        new = NewChannel(
            first(fields, "kind"),
            first(fields, "target"),
            visit.account.id,
            fields.get("event", []),
            read_pace(read_pace_form(fields), "/pace"),
            first(fields, "description"),
        )
        visit.rooms.channels.create(visit.session.caller, new, visit.now_us)

    return attempt(visit, FORM, act)


def post_change(visit: Visit) -> Reply:
    """Change what a channel hears of and when."""
    channel = _channel(visit)

    def act(fields: Mapping[str, Sequence[str]]) -> None:
        change = ChannelChange(
            fields.get("event", []), read_pace(read_pace_form(fields), "/pace"), first(fields, "description")
        )
        visit.rooms.channels.change(visit.session.caller, channel.destination_id, change, visit.now_us)

    return attempt(visit, FORM, act)


def post_state(visit: Visit) -> Reply:
    """Enable or disable."""
    channel = _channel(visit)
    change = ChannelChange(enabled=first(visit.form(), "state") == "enabled")
    visit.rooms.channels.change(visit.session.caller, channel.destination_id, change, visit.now_us)
    return redirect(address(visit, FORM))


def post_test(visit: Visit) -> Reply:
    """Send a test; the list tells how it went."""
    channel = _channel(visit)
    return attempt(visit, FORM, lambda _: visit.rooms.redeliveries.test(channel, visit.now_us))


def post_delete(visit: Visit) -> Reply:
    """Forget a channel."""
    channel = _channel(visit)
    visit.rooms.channels.delete(visit.session.caller, channel.destination_id, visit.now_us)
    return redirect(address(visit, FORM))


ONE = f"{AT}/channels/{{channel_id}}"
PAGES = (
    Page("alerts", "POST", f"{AT}/channels", post_channel, BILLING_MANAGE),
    Page("alerts", "POST", f"{ONE}/change", post_change, BILLING_MANAGE),
    Page("alerts", "POST", f"{ONE}/state", post_state, BILLING_MANAGE),
    Page("alerts", "POST", f"{ONE}/test", post_test, BILLING_MANAGE),
    Page("alerts", "POST", f"{ONE}/delete", post_delete, BILLING_MANAGE),
)
