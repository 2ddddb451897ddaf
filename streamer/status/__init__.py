"""What the daemon shows of itself to people and probes."""
