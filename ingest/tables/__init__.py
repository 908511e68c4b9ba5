"""Tables of features that were made elsewhere: read in their dialects, given our names, brought into the lake."""
