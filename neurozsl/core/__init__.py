"""What every other folder stands on: errors, the values between host and chip, text, files."""
