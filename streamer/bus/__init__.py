"""All that knows where events go: encoding, hardened producer, Kafka, SQLite."""
