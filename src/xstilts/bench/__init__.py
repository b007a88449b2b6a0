"""How fast this machine is for an encoder of a given shape: `xstilts bench`."""
