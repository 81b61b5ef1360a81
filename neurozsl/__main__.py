"""`python -m neurozsl` is the command `neurozsl`."""

from neurozsl.cli import main

if __name__ == "__main__":
    main()
