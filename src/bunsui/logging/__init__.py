"""The logs of jobs: written as lines of JSON, read again across jobs, files and runners."""
