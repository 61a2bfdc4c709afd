"""One command a file; what a command does lies in the package it calls."""
