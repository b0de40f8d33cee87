"""Tables, GeoJSON and pages for other programs and for people."""
