"""Reading a body tells all that is wrong with it at once, each fault with its place."""

import pytest

from tallybook.core.errors import FieldInvalid, QuantityInvalid
from tallybook.core.fields import (
    ERRORS_MAX,
    FILTER_MAX,
    Problems,
    errors_of,
    escape,
    read_filter,
    read_list,
    read_name,
    read_object,
)


def refusal(problems: Problems) -> FieldInvalid:
    """What `finish` raises."""
    with pytest.raises(FieldInvalid) as caught:
        problems.finish()
    return caught.value


def test_nothing_wrong_is_no_refusal() -> None:
    """And what was read is returned."""
    problems = Problems()
    assert "abc" == problems.take(read_name, "abc", "/name", "")
    problems.finish()
    assert not problems


def test_all_faults_are_told_in_the_order_they_were_found() -> None:
    """The first is the refusal's own place; faults below a field keep their places."""
    problems = Problems()
    assert "-" == problems.take(read_name, "9", "/name", "-")
    problems.take(read_filter, {"a": "", "": "x"}, "/filter", {})
    problems.only({"name": 1, "label": 2}, {"name"}, "", "a plan")
    assert problems
    error = refusal(problems)
    assert "/name" == error.pointer
    assert ["/name", "/filter/a", "/filter/", "/label"] == [pointer for pointer, _ in errors_of(error)]


def test_the_faults_told_are_bounded() -> None:
    """A hostile body does not make a long answer."""
    problems = Problems()
    problems.only({str(number): 0 for number in range(2 * ERRORS_MAX)}, set(), "", "it")
    assert ERRORS_MAX == len(errors_of(refusal(problems)))


def test_a_refusal_about_quantities_only_keeps_their_code() -> None:
    """Mixed with others it is about fields."""

    def amount(_: object, pointer: str) -> int:
        raise QuantityInvalid("must be a number", pointer=pointer)

    problems = Problems()
    problems.take(amount, "x", "/quantity", 0)
    assert "invalid-amount" == refusal(problems).code
    problems.add("/name", "is required")
    assert "invalid-field" == refusal(problems).code


def test_a_lone_refusal_is_its_own_list() -> None:
    """Errors that were raised without a list have one of themselves."""
    assert (("/a", "no"),) == errors_of(FieldInvalid("no", pointer="/a"))
    assert (("", "no"),) == errors_of(FieldInvalid("no"))


@pytest.mark.parametrize("value", [None, 5, "", "9a", "_a", "a b", "a" * 65, "ключ", "a\n", ["a"]])
def test_what_cannot_be_a_name_is_refused(value: object) -> None:
    """Names are short and plain."""
    with pytest.raises(FieldInvalid):
        read_name(value, "/name")


@pytest.mark.parametrize("value", ["a", "a-b.c_d9", "messagesPerMonth", "A" * 64])
def test_names_are_plain(value: str) -> None:
    """Letters, digits and three signs."""
    assert value == read_name(value, "/name")


def test_filters_are_bounded_objects_of_texts() -> None:
    """Anything else is refused with its place."""
    assert {} == read_filter(None, "/filter")
    assert {"a": "ключ"} == read_filter({"a": "ключ"}, "/filter")
    for wrong in ([], "a", {"a": 5}, {"a": None}, {f"d{n}": "x" for n in range(FILTER_MAX + 1)}, {"a": "\x00"}):
        with pytest.raises(FieldInvalid) as caught:
            read_filter(wrong, "/filter")
        assert (caught.value.pointer or "").startswith("/filter")


def test_objects_and_lists_are_what_they_say() -> None:
    """A list has at most so many items."""
    assert ({"a": 1}, [1, 2]) == (read_object({"a": 1}, ""), read_list([1, 2], "", length_max=2))
    with pytest.raises(FieldInvalid):
        read_object([], "/x")
    for wrong in ({}, [1, 2, 3]):
        with pytest.raises(FieldInvalid):
            read_list(wrong, "/x", length_max=2)


def test_pointers_are_escaped_and_short() -> None:
    """RFC 6901, cut to what can be shown."""
    assert "a~1b~0c" == escape("a/b~c")
    assert 64 == len(escape("x" * 1000))
