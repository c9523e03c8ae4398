"""The fixed words of a verdict, its sentences and the notation of its numbers."""
