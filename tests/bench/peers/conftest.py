"""These run in environments of their own, and what they import is not here, so no test looks through them."""

collect_ignore_glob = ["*.py"]
