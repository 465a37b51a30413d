"""Records that were refused: listing, replaying and settling them."""
