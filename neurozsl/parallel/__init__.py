"""Training in several processes: who is in the team, who starts it, layers over the whole batch."""
