"""Code that the Binance venues share: market codec, futures dialect, signer, metadata. Not a venue itself."""
