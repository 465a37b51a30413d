"""Carries the pass log into Kafka, each line once."""
