"""What an HTTP server answers before it closes the connection, as far as we want it. Pure; Python 3.6."""


def parse(answer: bytes) -> "tuple[int | None, bytes]":
    """Its status, None where it is no answer of HTTP, and its body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    parts = head.split(None, 2)
    is_http = len(parts) > 1 and parts[0].startswith(b"HTTP/") and parts[1].isdigit() and len(parts[1]) == 3
    return (int(parts[1]) if is_http else None), body
