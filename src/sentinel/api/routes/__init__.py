"""One file a resource.

Lives here: handlers; each says its parameters, its answer and its errors.
Never here: what an answer rests on.
May import: api's own files, and what api may.
"""
