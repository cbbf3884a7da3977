"""Real servers for the tests: private instances on free ports of this machine."""
