"""The code that ships in a submission: importable here, folded into one `train_gpt.py` by `golf.compose`."""
