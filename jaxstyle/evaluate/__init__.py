"""Plans: how the sums of the loss are evaluated; the loss and targets on top of them."""
