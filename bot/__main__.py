"""`python -m bot` is the command `nightlight`."""

from bot.cli import main

main()
