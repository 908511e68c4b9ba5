"""Features of segmented objects: :func:`.families.compute` over the registry :data:`.families.FAMILIES`."""
