"""The PowerP API with scripted faults and replay of real measurements."""
