"""The scripted upstream: strict mocks of vendors, behind one HTTP server on loopback."""
