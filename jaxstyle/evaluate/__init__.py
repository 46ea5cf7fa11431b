"""Plans, which evaluate the sums of the loss; targets and the loss itself."""
