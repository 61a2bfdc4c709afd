"""The account and session state: one part a file, each with its reducer."""
