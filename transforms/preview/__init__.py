"""What a recipe does on a few fields, as one HTML page, before anybody computes a plate."""
