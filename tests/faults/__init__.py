"""A campaign of a day's habits against the product: `make faults` prints one table of trials and failures."""
