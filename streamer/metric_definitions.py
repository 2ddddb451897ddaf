"""What is measured: of each metric the name, type, unit, labels and meaning, and what to do when it is bad.

``docs/metrics.md`` and the Grafana dashboard are written from this; ``metrics`` and ``status.collector`` fill it in.
"""

from __future__ import annotations

from streamer.metric_types import Definition

DELAY_BUCKETS = (0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 15, 30, 60, 120, 300, 900, 3600, 21600)
"""From below a poll interval to past the last age of most; fine around the overlap."""

COMMIT_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""A commit on Kafka takes 5 to 8 ms; its own deadline is 5 s."""

STREAM = ("stream",)

WATERMARK_LAG = Definition(
    *("Freshness", "watermark_lag_seconds", "gauge", "seconds", STREAM),
    "How far the watermark of the group that is furthest behind is behind the service's time.",
    "Compare with the expected one; then look at requests by status, the budget, and commit duration.",
    across="max",
)
WATERMARK_LAG_EXPECTED = Definition(
    *("Freshness", "watermark_lag_expected_seconds", "gauge", "seconds", STREAM),
    "What the watermark lag comes to when nothing is late: overlap, poll interval, grid and settle.",
    "Too much for alerting? Shorten overlap or poll_interval.",
    across="max",
)
SETTLED_LAG = Definition(
    *("Freshness", "settled_lag_seconds", "gauge", "seconds", STREAM),
    "How far behind the service's time the stream is settled, in its last group.",
    "More than expected: revisits do not get their share of the budget; look at waiting requests by lane.",
    across="max",
)
SETTLED_LAG_EXPECTED = Definition(
    *("Freshness", "settled_lag_expected_seconds", "gauge", "seconds", STREAM),
    "What the settled lag comes to when nothing is late: the last age of lookback, and one slice of it.",
    "Shorten lookback where the source is never that late.",
    across="max",
)
ARRIVAL_DELAY = Definition(
    *("Freshness", "arrival_delay_seconds", "histogram", "seconds", STREAM),
    "Age of samples when they were asked for and shown for the first time; not after outages, which it would show.",
    "See the log: arrival.overlap_exceeded and arrival.last_age_reached name the settings that would do.",
    buckets=DELAY_BUCKETS,
)
END_TO_END = Definition(
    *("Freshness", "end_to_end_delay_seconds", "histogram", "seconds", STREAM),
    "From the timestamp of a sample to the commit of its first event; backfills do not count.",
    "Compare with the arrival delay: what is beyond it was lost here, between answer and commit.",
    buckets=DELAY_BUCKETS,
)
OVERDUE = Definition(
    *("Freshness", "samples_overdue", "counter", "samples", STREAM),
    "Samples that may have been visible for longer than poll interval + 2 s when they were committed; of those that "
    "end_to_end_delay_seconds counts.",
    "See StreamerFreshnessBurnsFast in the runbook.",
)
OVERLAP = Definition(
    *("Freshness", "overlap_seconds", "gauge", "seconds", STREAM),
    "The configured overlap, to hold the arrival delay against.",
    "Lengthen it when more than a few samples arrive later than that.",
    across="max",
)
LAST_AGE = Definition(
    *("Freshness", "last_age_seconds", "gauge", "seconds", STREAM),
    "The last age of the configured lookback: the guarantee.",
    "Lengthen lookback when samples arrive near that age.",
    across="max",
)

HOLES = Definition(
    *("Completeness", "holes_open", "gauge", "holes", ("stream", "cause")),
    "Intervals behind the frontier that are not covered.",
    "See StreamerHolesStayOpen in the runbook. Cause new or rebuilt: work that was asked for.",
)
HOLES_SECONDS = Definition(
    *("Completeness", "holes_open_seconds", "gauge", "seconds", ("stream", "cause")),
    "How long these intervals are together.",
    "It should shrink once the cause is gone; if it does not, repairs get no share of the budget.",
)
HOLES_OPENED = Definition(
    *("Completeness", "holes_opened", "counter", "holes", ("cause",)),
    "Holes that were opened.",
    "Many that heal at once are signals that the service failed to read for a moment.",
)
LOST_SECONDS = Definition(
    *("Completeness", "lost_seconds", "counter", "seconds", STREAM),
    "How long the intervals of single signals are together that were declared lost: the source has no more of them.",
    "Nothing brings them back. See StreamerSamplesLost in the runbook.",
)
SERIES = Definition(
    *("Completeness", "series", "gauge", "series", STREAM),
    "Series that are streamed.",
    "Fewer than expected: see streamer signals, and the shards that nobody owns.",
)
SIGNALS_UNKNOWN = Definition(
    *("Completeness", "signals_unknown", "gauge", "series", ()),
    "Configured signals that the catalogue does not know.",
    "See StreamerSignalsUnknown in the runbook.",
    across="max",
)

PUBLISHED = Definition(
    *("Samples", "samples_published", "counter", "samples", STREAM),
    "Events of revision 0, committed.",
    "None for longer than the plant can be silent: compare with the watermark lag, which moves all the same.",
)
LATE = Definition(
    *("Samples", "samples_late", "counter", "samples", STREAM),
    "Of those, first seen behind the watermark.",
    "See StreamerSamplesArriveLate in the runbook.",
)
REVISED = Definition(
    *("Samples", "samples_revised", "counter", "samples", STREAM),
    "Events of a later revision, committed.",
    "Many, on a resampled stream: settle is too short, so that windows are read before their samples are in.",
)
NULLS = Definition(
    *("Samples", "samples_null", "counter", "samples", STREAM),
    "Null values left out (nulls: skip).",
    "They are wanted? Set nulls: publish.",
)
VANISHED = Definition(
    *("Samples", "samples_vanished", "counter", "samples", STREAM),
    "Published samples that a later answer no longer showed; they are not taken back.",
    "Ask the owner of the source who deletes.",
)
REJECTED = Definition(
    *("Samples", "rows_rejected", "counter", "rows", ("cause",)),
    "Rows of answers that were dropped.",
    "Cause unreadable leaves a hole; report it to the vendor with the log line source.rows_rejected.",
)

REQUESTS = Definition(
    *("API", "requests", "counter", "requests", ("lane", "status")),
    "Requests to the API.",
    "429: too many for the credential. 504: windows are too long. 401, 403: the credential.",
)
WAITING = Definition(
    *("API", "requests_waiting", "gauge", "requests", ("lane",)),
    "Requests that wait for the budget.",
    "Live ones that wait for long: see StreamerBudgetTooSmall in the runbook.",
)
IN_FLIGHT = Definition(
    *("API", "budget_in_flight_requests", "gauge", "requests", ()),
    "Requests on their way.",
    "Always at the limit: see StreamerBudgetTooSmall in the runbook.",
)
LIMIT = Definition(
    *("API", "budget_limit_requests", "gauge", "requests", ()),
    "Requests that may be on their way at once: source.max_in_flight, or fewer while the service refuses.",
    "Below what is configured: the service refuses; does something else use the credential?",
)
PAUSED = Definition(
    *("API", "budget_paused_seconds", "gauge", "seconds", ()),
    "How long no request may start from now on, as the service asks or because it cannot be reached.",
    "See requests by status for which of the two it is.",
    across="max",
)
FAILED = Definition(
    *("API", "queries_failed", "counter", "queries", ("cause",)),
    "Queries given up after their retries; each is asked again.",
    "SourceUnreachable: the service or the way to it. CredentialRefused, QueryRefused: a person must act.",
)
PROOFS = Definition(
    *("API", "proofs", "counter", "requests", ("doubt", "outcome")),
    "Requests that proved long or doubtful answers to be whole, or refuted them.",
    "Many refuted: the service cuts answers at some number of rows or thins them out; tell whoever runs it.",
)
QUARANTINED = Definition(
    *("API", "series_quarantined", "counter", "series", STREAM),
    "Series that made every query fail and are asked for by themselves now and then.",
    "The log line source.series_quarantined names them; ask the vendor about the signal.",
)
VOID = Definition(
    *("API", "answers_void", "counter", "answers", ()),
    "Answers thrown away because their frontier had moved.",
    "Many without changes of shards: report it.",
)
TOKEN_AGE = Definition(
    *("API", "token_age_seconds", "gauge", "seconds", ()),
    "Age of the access token; absent without one.",
    "Older than an hour: renewals fail.",
    across="max",
)
TOKEN_FAILURES = Definition(
    *("API", "token_failures", "counter", "", ("cause",)),
    "Tokens that could not be had, or were refused as soon as they were.",
    "CredentialRefused: see StreamerCredentialRefused in the runbook. Else the service is away.",
)

COMMIT_SECONDS = Definition(
    *("Bus", "commit_seconds", "histogram", "seconds", ()),
    "Duration of a commit of events and ledger.",
    "See StreamerCommitsSlow in the runbook.",
    buckets=COMMIT_BUCKETS,
)
RECREATED = Definition(
    *("Bus", "producers_recreated", "counter", "", ()),
    "Producers thrown away because the outcome of their commit was unknown; another one takes over.",
    "See StreamerCommitsFail in the runbook.",
)
OWNED = Definition(
    *("Bus", "shards_owned", "gauge", "shards", ()),
    "Shards that this process owns and has restored.",
    "All processes together own all: see StreamerShardsWithoutOwner in the runbook.",
)
SHARDS = Definition(
    *("Bus", "shards_configured", "gauge", "shards", ()),
    "Shards that there are (bus.shards).",
    "It never changes for one set of topics.",
    across="max",
)
ACQUIRED = Definition(
    *("Bus", "shards_acquired", "counter", "shards", ()),
    "Shards acquired and restored; more than once after faults.",
    "Rises all the time: the group rebalances, or commits fail.",
)
FENCED = Definition(
    *("Bus", "shards_fenced", "counter", "shards", ()),
    "Shards that another instance wrote while this one owned them.",
    "See StreamerShardsFenced in the runbook.",
)

ENTRIES = Definition(
    *("Ledger", "ledger_entries", "gauge", "samples", ()),
    "Samples that the owned ledgers remember.",
    "It grows with open holes and lookback.",
)
LEDGER_BYTES = Definition(
    *("Ledger", "ledger_bytes", "gauge", "bytes", ()),
    "What they take of bus.ledger_memory, at most.",
    "See StreamerLedgerFull in the runbook.",
)
LEDGER_LIMIT = Definition(
    *("Ledger", "ledger_limit_bytes", "gauge", "bytes", ()),
    "What they may take: bus.ledger_memory.",
    "Raise it together with the memory of the pod.",
)

READY = Definition(
    *("Process", "ready", "gauge", "", ()),
    "1 when every shard that is to be owned is, and is restored.",
    "0 for minutes: the log says what it waits for.",
    across="min",
)
CLOCK_SKEW = Definition(
    *("Process", "clock_skew_seconds", "gauge", "seconds", ()),
    "Host's wall clock ahead of the service's time; NaN while that is unknown. It decides about no data.",
    "See StreamerClockSkewed and StreamerServiceTimeUnknown in the runbook.",
    across="max",
)
BUILD = Definition(
    *("Process", "build_info", "gauge", "", ("version", "python", "bus")),
    "Always 1; its labels say what runs.",
    "More than one version for long: an update hangs.",
)

CATALOGUE = tuple(one for one in list(globals().values()) if isinstance(one, Definition))
"""All of them, in this order."""
