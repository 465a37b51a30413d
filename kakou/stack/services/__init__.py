"""One module per server: how it is configured, initialised, started and asked whether it is ready."""
