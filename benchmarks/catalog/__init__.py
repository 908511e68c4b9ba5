"""Questions to lakes of any size."""
