"""Parts of this package in other libraries' training loops; one module per library."""
