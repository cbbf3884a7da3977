"""The program as its users run it, from the outside."""
