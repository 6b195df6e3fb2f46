"""Parts of this package in other libraries' training loops; a module a library."""
