"""Tests that compare specdsl with Keras."""
