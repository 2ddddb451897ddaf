"""Seeds that were not clean once, and what they found. ``make test`` runs them for ever.

A seed tells another story whenever the world learns a new fault; what each has found has a test of its own as well.
"""

REGRESSIONS = {
    1: "a request whose token was minted while Retry-After closed the gate went out all the same",
    7: "an answer cut short was proved by a shorter one that the service had failed to read the signal for",
    29: "means on a grid were taken for the newest samples of a signal",
    324: "an overlap and a chunk together were longer than what the service answers raw",
    680: "a row that was where a grid is by chance proved the means of the others",
    817: "an answer cut at its beginning was proved by a piece that the service had failed to read the signal for",
    1112: "a round number of rows that had been a chance once was believed when it was a cap",
}
