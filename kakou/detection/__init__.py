"""Who is cloned: pure rules over passes, shared by the stream, ``kakou detect replay``, rehearsal and the tests.

What a history teaches: ``knowledge`` (with ``travel``, ``trips``, ``clocks``, ``misreads``), and ``reviews`` (of cases, ``case_steps``) with ``calibration``.
What a rule is: ``rules``, ``rule_files``, ``weighing``. What contradicts: ``contradictions`` over ``state``. What is said of it: ``casebook``
with its ``memory``, ``cases``, ``episodes``, ``likelihood``, ``presence``. Rooms of their own: ``evidence`` and ``rehearsal``. ``files``, ``warning_tables`` and ``*_commands`` are edges.
"""  # noqa: E501 - one room a line
