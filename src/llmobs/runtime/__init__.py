"""The process we are guests in: its context, its forks, its files, and our troubles there."""
