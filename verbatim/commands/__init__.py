"""The commands, one a file. Each checks its options and calls the package that does the work."""
