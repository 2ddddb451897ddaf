"""Pure: which groups there are and which windows to ask for next."""
