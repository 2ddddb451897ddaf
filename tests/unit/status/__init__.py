"""The status room, without sockets where it can be."""
