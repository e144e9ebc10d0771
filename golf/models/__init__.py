"""Open any language model behind one interface."""
