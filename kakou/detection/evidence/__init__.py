"""What a verdict was given on: both tracks, kept with the alert, and shown as one page."""
