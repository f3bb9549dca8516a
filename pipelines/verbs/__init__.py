"""The verbs of `genco`, a file a topic; each registers its commands on the app."""
