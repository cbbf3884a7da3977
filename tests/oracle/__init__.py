"""What the tests know beforehand: answers worked out the slow way, and texts with labels.

The core again, slow and obvious, in NumPy: what the compiled code is held against.  The window
before a sample is written out whole, sorted whole, and summed whole, in 80-bit arithmetic; a
detector is the line of its formula.  And texts in which it is known where personal data stands.
"""
