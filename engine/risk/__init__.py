"""Risk: every new order is reviewed by all rules (engine/risk/rules/, one a file), and only an approved one is sent."""
