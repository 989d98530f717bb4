"""Forecasts: what answers will be at the end of a period if usage goes on at the pace it has had so far."""

from collections.abc import Sequence

from tallybook.core.meter import Answer
from tallybook.core.rate import half_even
from tallybook.core.window import Span


def paced(answers: Sequence[Answer], begun_us: int, now_us: int) -> list[Answer]:
    """Return *answers* as they will be: windows that end by *now_us* stay, later ones are filled.

    Where windows follow each other, a later one gets in proportion to its length what came by now, which took from
    *begun_us* on. Where they all begin together (meters that keep a greatest or last value), it gets the value that is
    known now. Usage from before *begun_us*, as an import of earlier events brings it, moves the beginning to the first
    window's start.
    """
    if any(_is_used_before(answer, begun_us) for answer in answers):
        begun_us = min(window.start_us for answer in answers for window in answer.question.windows)
    return [_paced(answer, begun_us, now_us) for answer in answers]


def _is_used_before(answer: Answer, instant_us: int) -> bool:
    early = [place for place, window in enumerate(answer.question.windows) if window.end_us <= instant_us]
    return any(values[place] for values in answer.groups.values() for place in early)


def _paced(answer: Answer, begun_us: int, now_us: int) -> Answer:
    windows = answer.question.windows
    together = len(windows) > 1 and windows[0].start_us == windows[1].start_us
    fill = _held if together else _flowing
    groups = {group: fill(windows, values, begun_us, now_us) for group, values in answer.groups.items()}
    return Answer(answer.question, groups)


def _flowing(windows: Sequence[Span], values: Sequence[int], begun_us: int, now_us: int) -> list[int]:
    elapsed_us = now_us - begun_us
    told = sum(value for window, value in zip(windows, values, strict=True) if window.end_us <= now_us)
    if elapsed_us <= 0:
        return [v if w.end_us <= now_us else 0 for w, v in zip(windows, values, strict=True)]
    return [
        value if window.end_us <= now_us else half_even(told * (window.end_us - window.start_us), elapsed_us)
        for window, value in zip(windows, values, strict=True)
    ]


def _held(windows: Sequence[Span], values: Sequence[int], begun_us: int, now_us: int) -> list[int]:
    del begun_us
    known = [value for window, value in zip(windows, values, strict=True) if window.end_us <= now_us]
    return [*known, *[known[-1] if known else 0] * (len(values) - len(known))]
