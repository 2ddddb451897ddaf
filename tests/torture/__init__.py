"""The real daemon, killed for real."""
