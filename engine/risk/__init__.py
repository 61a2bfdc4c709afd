"""Risk: every new order is reviewed by all rules (engine/risk/rules/), and only an approved one is sent."""
