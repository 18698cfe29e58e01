"""Hostile and odd input: what is given to the public methods, whatever it is, bothers nobody."""
