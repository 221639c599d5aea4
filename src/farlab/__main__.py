"""`python -m farlab` is `farlab`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
