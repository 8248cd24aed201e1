"""What a person sees: progress, log file, summary."""
