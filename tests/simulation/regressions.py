"""Seeds that were not clean once, and what they found. ``make test`` runs them for ever.

A seed tells another story whenever the world learns a new fault; what each has found has a test of its own as well.
"""

REGRESSIONS = {
    1: "a request whose token was minted while Retry-After closed the gate went out all the same",
    7: "an answer cut short was proved by a shorter one that the service had failed to read the signal for",
    29: "means on a grid were taken for the newest samples of a signal",
}
