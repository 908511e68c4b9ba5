"""Plates through the whole of ingest and transform: rate, time of each step, memory."""
