"""Our own health: metric families, and the log.

Lives here: one inventory of metrics, one function for each thing that can happen.
Never here: decisions.
May import: model and errors.
"""
