"""The local stack: installing its parts, starting, watching and stopping its services."""
