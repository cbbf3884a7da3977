"""Connections to servers that several rooms use.

Lives here: how a server is reached, how long it is waited for, and who holds its library.
Never here: what is kept there or sent there, and what it means.
May import: vitals, model, errors.
"""
