"""Run folders: configs, checkpoints, logs and progress; knows no chemistry."""
