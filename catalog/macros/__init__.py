"""The definitions of macros and views, in SQL: a file per subject, read by :mod:`..library`."""
