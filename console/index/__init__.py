"""The console's own index of inputs, kept from listings of the buckets, so that every page is quick."""
