"""What writes events and ledgers, on fakes and on files."""
