"""SV-Mixer inside ESPnet's own speaker task; see docs/espnet.md. Nothing else in the package imports this."""
