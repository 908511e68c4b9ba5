"""Memory that must not grow with the plate."""
