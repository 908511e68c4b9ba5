"""Objects followed over time, against what is known of them."""
