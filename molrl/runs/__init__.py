"""Run folders: configs, checkpoints, logs and progress; independent of chemistry."""
