"""What can be made of a graph: report, diagram, Python source, Keras model."""
