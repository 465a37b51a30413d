"""Who is cloned: pure rules over passes, shared by the stream, ``kakou detect replay`` and the tests.

``travel``: shortest honest travel times, learned. ``gates``: where gates are. ``rules``: both as one matrix.
``contradictions``: ``(state, passes, rules) -> (state, contradictions, counts)``. ``verdicts``: a
contradiction in words and numbers. ``files``: the only reader of files here; ``commands``: the command line.
"""
