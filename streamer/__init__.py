"""PowerP Streamer: every measurement sample of the PowerP Real-Time API as a Kafka event, exactly once."""
