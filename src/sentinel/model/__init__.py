"""What everything is about: events, verdicts, incidents, as plain structures.

Lives here: msgspec Structs and constants that more than one room speaks of.
Never here: behaviour beyond derived values, input or output, settings.
May import: nothing of ours.
"""
