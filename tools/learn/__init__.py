"""The exercises: the learner rebuilds a stage in my/, and a checker says what works."""
