"""Networks of one's own as classifiers of event recordings: trained, pruned, fine-tuned here."""
