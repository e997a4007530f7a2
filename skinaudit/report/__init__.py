"""From the records of a run to a report that an auditor can file."""
