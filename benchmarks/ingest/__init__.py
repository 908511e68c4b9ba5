"""Ingest: plates of every kind of TIFF against the peers, and the index of a large plate."""
