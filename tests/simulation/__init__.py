"""The whole daemon in virtual time, under every fault at once, watched by an oracle that knows the truth."""
