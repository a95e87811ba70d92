"""Job → Plan: what will run, resolved, in order, on which slots, with which limits; pure functions only."""
