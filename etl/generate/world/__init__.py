"""Labelled worlds: who drove where, what the gates made of it, and the truth beside it."""
