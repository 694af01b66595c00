"""One module for each command; each has one click command named ``command``."""
