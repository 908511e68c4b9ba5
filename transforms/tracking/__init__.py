"""Objects over time: the drift of a field, which object is which, how they move, and lineages as rows and pictures."""
