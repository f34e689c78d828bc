"""Commands that send inputs, show what became of them, and start them again."""
