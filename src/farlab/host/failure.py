"""An expected failure on the host. Python 3.6."""


class Failure(Exception):
    """An expected failure: `code` is a slug of farlab's errors."""

    def __init__(self, code, message, detail="", hint=None):
        Exception.__init__(self, message)
        self.words = {"code": code, "message": message, "detail": detail, "hint": hint}
