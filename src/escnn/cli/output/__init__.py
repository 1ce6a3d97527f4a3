"""Where results of commands go: lines, files, tables, clips."""
