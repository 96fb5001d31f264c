"""`bench data prepare`: downloads, archives and counts of what was unpacked."""
