"""Entry of ``python -m streamer``: the same program as the console script."""

from streamer.cli import main

if __name__ == "__main__":
    main()
