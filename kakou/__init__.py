"""Kakou (卡口): shared words and pure rules of a highway checkpoint platform."""

__version__ = "0.1.0"
