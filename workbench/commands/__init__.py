"""What each command does, one file each, as functions of plain arguments that print nothing."""
