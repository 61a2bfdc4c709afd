"""Turn approved intents into requests, and venue answers into facts about orders."""
