"""Teachers' probabilities as what a loss is told, and a discriminator of their outputs and the student's."""
