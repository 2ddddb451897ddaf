"""Whatever comes from outside, byte by byte: targets that Hypothesis and atheris both feed."""
