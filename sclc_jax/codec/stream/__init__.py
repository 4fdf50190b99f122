"""The .sclc file: header, coded strings, sections."""
