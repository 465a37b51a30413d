"""The proof that nothing was lost and nothing doubled: what was read (``evidence``), the rule (``laws``), the
edge (``check``)."""
