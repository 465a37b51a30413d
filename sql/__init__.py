"""Where passes rest: migrations of the nodes, the local 8066 endpoint, gates, archive and retention."""
