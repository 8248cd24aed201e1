"""What shall be done: decisions, and the Steps that follow from them; and the executor that does them."""
