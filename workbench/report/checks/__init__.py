"""What a reader should check before believing a result, answered from the records."""
