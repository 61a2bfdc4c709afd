"""The public market data of the simulated venue: captured, recorded or synthetic."""
