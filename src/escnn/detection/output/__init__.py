"""Events as they are written: the lines and their schema, the journal, tables, clips."""
