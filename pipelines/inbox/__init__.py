"""`genco inbox`: what waits for a person, decided on from a browser by the command line's functions."""
