"""What of the documentation is written by programs."""
