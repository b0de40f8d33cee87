"""Files: slides become arrays in slide.py, rows become bytes in store.py."""
