"""How a run is asked for, made, kept and resumed."""
