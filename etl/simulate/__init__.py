"""Replays clean passes as if they happened now."""
