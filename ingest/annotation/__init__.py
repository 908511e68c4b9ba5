"""Plate maps and sample sheets: what people type, checked cell by cell, as rows of the lake.

:mod:`.sheet` reads the file, :mod:`.columns` knows what its headers mean, :mod:`.platemap` turns its rows into
validated annotation of wells, :mod:`.apply` puts that into the lake.
"""
