"""What every bus must do, run against each of them."""
