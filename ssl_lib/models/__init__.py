"""Networks, ensembles and the mean teacher."""
