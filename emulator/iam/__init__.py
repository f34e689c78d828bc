"""IAM: the policies of the stack's resources, and who may call what by them."""
