"""What usage is: pure, synchronous rules without I/O; imports nothing of ours outside this room."""
