"""What runs a branch: functions ChipInput -> Trace, by name."""
