"""Where records live: the lake root, its Delta tables, the feature registry, lineage, and the plates' pixels.

The modules are imported by name (``cytolake.store.root``, ``cytolake.store.commit``, …); importing this package
loads none of them.
"""
