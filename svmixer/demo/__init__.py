"""A page that tells voices apart in the browser: its files, and a server for them on this machine."""
