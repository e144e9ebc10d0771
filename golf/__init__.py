"""golf: from an idea for the Parameter Golf challenge to a record that survives review."""

__version__ = "0.1.0"
