"""From what the analysis gives to symbols."""
