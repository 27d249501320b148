"""Where one record is."""
