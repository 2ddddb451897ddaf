"""All that knows the HTTP API of PowerP: token, throttle, wire, client, catalogue."""
