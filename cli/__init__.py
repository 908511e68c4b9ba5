"""The command line: parsing and printing, no logic. Every verb calls the method of the same name of a lake."""
