"""Other systems beside ours: one command, the same data, split, machine and ruler."""
