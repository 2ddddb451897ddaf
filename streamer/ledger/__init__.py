"""Pure: what is covered and what was published, and how that is written down."""
