"""What a record is: the LinkML sources, the code generated from them, identifiers, units, terms and validation.

Nothing heavy is imported here; take what you need from the modules:
:mod:`.identifiers`, :mod:`.units`, :mod:`.ontology`, :mod:`.tables` and :mod:`.validation`.
"""
