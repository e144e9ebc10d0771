"""What runs inside the box: the server that forks one process per play, its walls, and the CPU that strangers' scripts are given."""
