"""What each verb shows: the only modules beside the verbs that print."""
