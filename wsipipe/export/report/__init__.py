"""A self-contained HTML page per slide."""
