"""The command `xpnn`: a file with `add_parser(subparsers)` is a subcommand; it imports what is heavy when it runs."""
