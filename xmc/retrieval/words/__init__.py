"""Labels by the words of texts: matched with the labels' own, or judged by a classifier of each label."""
