"""One part of the account's state a file: what it holds, and how a change moves it. Each reducer leaves all else alone."""
