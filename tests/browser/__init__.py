"""The operator's page in a real Chromium."""
