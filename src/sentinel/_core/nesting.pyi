"""How deep JSON is nested and how many lines hold something, without decoding it."""

def count_lines(body: bytes, max_bytes: int, max_depth: int) -> int:
    """Return how many lines hold something, -1 where one is long, deep or not `{...}`."""

def depth(text: bytes) -> int:
    """Return the deepest nesting of brackets outside strings."""
