"""Cells that a spreadsheet would calculate with become text; all others stay as they are."""

import pytest

from tallybook.web.dashboard.csvfile import csv_reply, text_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", " =1", "\uff1d1+1", '"=1', "\u200b=1"])
def test_what_begins_like_a_formula_gets_an_apostrophe(text):
    """
    Also behind white space, quotes and characters that nobody sees, and in full width.
    """
    assert f"'{text}" == text_cell(text)


@pytest.mark.parametrize("text", ["", "plain", "a=b", "1-2", "Réservations", "<b>", "2026-03-01T00:00:00+00:00", "   "])
def test_other_text_is_left_alone(text):
    """
    Names stay what they are.
    """
    assert text == text_cell(text)


def test_a_file_is_quoted_throughout():
    """
    With a mark that says UTF-8, a name to be saved under, and never shown in place.
    """
    reply = csv_reply("usage.csv", ["start", "=x"], [["2026-03-01", "1.5"]])

    assert '\ufeff"start","\'=x"\r\n"2026-03-01","1.5"\r\n' == reply.body.decode()
    assert 'attachment; filename="usage.csv"' == reply.headers["Content-Disposition"]
