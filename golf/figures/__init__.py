"""Charts and page style, as data and drawn to SVG and PNG."""
