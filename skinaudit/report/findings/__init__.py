"""The only place where a finding is put into words."""

from skinaudit.report.findings.summarise import summarise

__all__ = ["summarise"]
