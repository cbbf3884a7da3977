"""The compiled core: columns in, verdicts out.  It imports nothing of sentinel's."""
