"""One suite for everything that keeps the same promise."""
