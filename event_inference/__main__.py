"""`python -m event_inference` is the command `einf`."""

from event_inference.cli import main

if __name__ == "__main__":
    main()
