"""What may be sent. One function a rule; `review` asks them all and is the only maker of `Approved`."""
