"""What Pentad is made of: licences, bill of materials, known vulnerabilities."""
