"""Command line: parse, call the pipeline, turn errors into exit codes."""
