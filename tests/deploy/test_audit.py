"""The audit's verdict: vulnerable is red, and what nobody could be asked about is said aloud."""

from __future__ import annotations

from tests.support.audit import verdict

CLEAN = {"name": "a", "version": "1", "vulns": []}
VULNERABLE = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


def test_a_known_vulnerability_is_named_and_makes_the_audit_fail() -> None:
    assert verdict([CLEAN, VULNERABLE]) == (
        1,
        ["b 2: PYSEC-1, fixed in 3", "2 packages audited, 1 known vulnerabilities."],
    )


def test_a_clean_audit_says_how_much_it_saw() -> None:
    assert verdict([CLEAN]) == (0, ["1 packages audited, 0 known vulnerabilities."])


def test_what_was_skipped_does_not_pass_for_clean() -> None:
    _, lines = verdict([CLEAN, SKIPPED])
    assert lines[1].startswith("!!! NOT AUDITED: 1 of 2")
