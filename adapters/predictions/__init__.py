"""Predictions of other programs, as files: there is no framework here."""
