"""What the dashboard's tests without a browser may ask for: somebody who came, and somebody who is logged in."""

import pytest

from tests.support.guest import Guest


@pytest.fixture
def guest(desk):
    """Somebody who is not logged in, on a house of the test's own."""
    return Guest(desk)


@pytest.fixture
def operator(desk):
    """The operator, logged in."""
    came = Guest(desk)
    assert came.log_in(desk.operator).status_code == 303
    return came
