"""The whole daemon under virtual time."""
