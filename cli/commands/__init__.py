"""One file a command; each defines a function of the command's name, taking a Context and its own parameters."""
