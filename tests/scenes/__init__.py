"""Small made-up streams, one call at a time, for the tests of what lies above the core."""
