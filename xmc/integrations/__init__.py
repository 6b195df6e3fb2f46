"""Parts of this package in other libraries: their training loops, or as a backend; one module for each."""
