"""The recipes of profiles that come with cytolake."""
