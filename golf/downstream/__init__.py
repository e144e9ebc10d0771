"""Downstream evaluations on local files: text perplexity, LAMBADA, HellaSwag, by the definitions that published cards use."""
