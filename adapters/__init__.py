"""One folder per framework; each holds `adapter.py`, `requirements.txt` and `models/*.yaml`."""
