"""The simulated exchange: books, matching, queues and funds."""
