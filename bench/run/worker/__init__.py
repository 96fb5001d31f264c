"""Runs in a job's own process: the job, its model, its images and its outcome."""
