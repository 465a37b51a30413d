"""Another rule on stored days, beside the one in force: what it would add, and what it would take away."""
