"""Clients of other people's servers, each with one owning file.

Lives here: one thin class a client, that speaks in our words: values, errors, callbacks.  Never
here: what is said over it, settings, a decision.
May import: vitals, errors.
"""
