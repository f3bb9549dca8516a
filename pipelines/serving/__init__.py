"""`genco serve`: the champion's policy over HTTP, every answer logged as an impression."""
