"""The core again, slow and obvious, in NumPy: what the compiled code is held against.

Nothing here is clever.  The window before a sample is written out whole, sorted whole, and summed
whole, in 80-bit arithmetic; a detector is the line of its formula.
"""
