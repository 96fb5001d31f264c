"""A run as two Parquet files, of which a report of any number of cases and samples is made in bounded memory."""
