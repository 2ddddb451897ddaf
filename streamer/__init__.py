"""PowerP Streamer: every measurement sample of the PowerP Real-Time API as a Kafka event, exactly once."""

__version__ = "0.1.0"
