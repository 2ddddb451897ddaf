"""What installs the program into a cluster, and what writes the parts of it that follow from the code."""
