"""Each repository holds the SQL of one subject, parametrised only; nothing outside knows a column."""
