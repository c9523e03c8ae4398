"""Images: decoding, the cache of decoded images, pixels."""
