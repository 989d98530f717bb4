"""All types of messages there are: what filters may name, and what the OpenAPI document describes."""

from tallybook.core.alert import ALERT_TYPES
from tallybook.core.channel import DIGEST_TYPE
from tallybook.core.message import OWN_TYPES

MESSAGE_TYPES = (*OWN_TYPES, *ALERT_TYPES, DIGEST_TYPE)
