"""One module a group of commands; `cli` registers them."""
