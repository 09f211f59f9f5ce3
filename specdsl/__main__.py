"""`python -m specdsl`."""

from specdsl.cli import main

if __name__ == "__main__":
    main()
