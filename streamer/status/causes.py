"""What the cause of a hole and the name of a fault mean to a person, and what to do about it."""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """Why an interval is a hole, and what to do.

    Attributes:
        is_routine: whether the daemon closes such holes by itself, and nobody has to look at them at once.
    """

    why: str
    remedy: str
    is_routine: bool = False


_AT_WORK = "Nothing: it is being read with what the budget leaves."
_LOOK_AT_SIGNAL = "See whether the API shows the signal for that time. It is asked for again until it does."

MEANINGS = {
    "absent": Meaning("an answer left out samples that are known to exist", _LOOK_AT_SIGNAL),
    "silent": Meaning("the signal is silent when samples are due, or nothing proves that it was read", _LOOK_AT_SIGNAL),
    "rejected": Meaning("a row of the answer could not be read", "Look at the API's answer for that signal and time."),
    "new": Meaning("the signal is new here and its past is being read", _AT_WORK, True),
    "moved": Meaning("the signal came from another group and is being aligned", _AT_WORK, True),
    "outage": Meaning("live data went first after an outage; the backlog is being read", _AT_WORK, True),
    "rebuilt": Meaning("the ledger was rebuilt and cannot tell what was asked for", _AT_WORK, True),
    "aside": Meaning("another signal of its group makes the query fail; the bad one is being looked for", _AT_WORK),
    "quarantined": Meaning(
        "the service cannot answer any query with this signal",
        "Have the signal mended at the source, or leave it out of the stream. It is tried again within an hour.",
    ),
}
"""By cause, see ``model.Hole``."""

UNKNOWN = Meaning("it is not covered", "It is asked for again until it is.")


def meaning(cause: str) -> Meaning:
    """What a cause means."""
    return MEANINGS.get(cause, UNKNOWN)


FAULTS = {
    "arrival.last_age_reached": "Samples are first seen at the last age of lookback",
    "arrival.overlap_exceeded": "Samples arrive later than overlap allows for",
    "bus.commit_failed": "A commit failed; its shard begins anew from the stored ledger",
    "bus.transaction_left_open": "A transaction was left open",
    "bus.unreachable": "The bus cannot be reached",
    "ledger.interval_lost": "Samples can never be had: the source has no more of them",
    "ledger.memory_full": "The ledger's memory is full",
    "roster.series_contested": "A series is wanted by two streams",
    "roster.signal_unknown": "A configured signal is not in the catalogue",
    "source.answer_empty": "An answer was empty",
    "source.density_unknown": "How dense the samples are cannot be learned",
    "source.query_failed": "A query failed",
    "source.rows_rejected": "Rows of answers were dropped",
    "source.series_quarantined": "A signal makes every query fail",
    "source.time_unknown": "The service's time is unknown",
    "source.unreachable": "The API's catalogue cannot be read",
}
"""By the event in the log, see ``Complaints``."""


def fault_text(event: str) -> str:
    """What a fault is; its event where there are no words for it."""
    return FAULTS.get(event, event)
