"""What goes to a pipeline: uploads with their parameters, and orders."""
