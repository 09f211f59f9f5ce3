"""The tests of specdsl, sorted by what they need."""
