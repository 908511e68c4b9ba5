"""One module per microscope vendor: its files in, :class:`cytolake.ingest.export.PlateExport` out."""
