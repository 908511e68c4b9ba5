"""The recipes that come with cytolake, as TOML files: ``load_recipe("nuclei")``."""
