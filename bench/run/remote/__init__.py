"""Results behind a URL: object stores, what a run consists of there, who may write it, the folder it is worked in."""
