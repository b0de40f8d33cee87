"""The viewer in the browser: its page, the server that answers it, and the bytes that they exchange."""
