"""Import of tables made elsewhere, beside pandas and CytoTable."""
