"""Fakes and launchers that several kinds of tests share."""
